"""The one exception a user is meant to read."""


class ChurnError(Exception):
    """Something a person can mend. The message names the file, the column, the value and the way out."""
