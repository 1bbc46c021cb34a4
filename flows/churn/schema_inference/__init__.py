"""Drafts the description of an unknown file, for ``make dataset``: types, roles, target, and questions for the user.

Owns every guess that Churnflow makes about a column; none is made once a description exists. Imports validation and below.
"""
