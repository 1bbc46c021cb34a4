"""What users write: the TOML files of config/, the environment, and the commands that messages name.

Owns every key a user may set (``core`` reads them strictly), the description of a data set (``dataset``, ``column``) and the
little language of its expressions. Imports ``churn.errors`` alone. A new key goes into the model of its file here, with a
default that keeps what older files and stores mean.
"""
