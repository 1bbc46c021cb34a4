"""Storage: S3 and folders, checksums of what is read, keyed ids, MLflow's SQLite file.

Imports only settings. A new kind of store belongs in ``places``, a new integrity check in ``checksums``.
"""
