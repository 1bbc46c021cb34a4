"""What users configure: the TOML files in config/, environment variables, and the commands that messages suggest.

Owns every key a user may set (``core`` reads them strictly), the description of a data set (``dataset``, ``description``,
``events``) and its expression language. Imports only ``churn.errors``. A new key belongs in the model of its file, with a
default that leaves the meaning of older files and stores unchanged.
"""
