"""The first description of an unknown file, for ``make dataset``: types, roles, target, and what a person must decide.

Owns every guess that Churnflow makes about a column; nothing of it runs once a description exists. Imports validation and below.
"""
