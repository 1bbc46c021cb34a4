"""Where bytes lie: S3 and folders, checksums by which what is read is what was written, keyed ids, MLflow's SQLite file.

Imports settings alone. A new kind of store goes into ``places``, a new check of what is read
into ``checksums``.
"""
