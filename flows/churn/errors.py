"""The one exception meant for users, and remedies for operating system errors."""

import errno
import re

_USERINFO = re.compile(r"(?<=://)([^\s/:@]*):(?!\$\{\w+\}@)\S*@")  # up to the last @: a password may hold others
_QUERY = re.compile(r"(?<=://)(?<!sqlite://)([^\s?'\"]+\?)[^\s'\")]+")


class ChurnError(Exception):
    """An error that the user can fix; the message names the file, the column, the value and the remedy.

    URLs are shown without password and query.
    """

    def __init__(self, message: object) -> None:
        """``message`` may contain URLs."""
        super().__init__(masked(str(message)))


def masked(text: str) -> str:
    """The text with the secrets in its URLs masked; a variable as the password, ``${NAME}``, stays."""
    return _USERINFO.sub(r"\1:***@", _QUERY.sub(r"\1***", text))


_FULL = "free space there, or on the disk of TMPDIR and CHURNFLOW_HOME (df -h), and run this again"
_CLOSED = (
    "make it writable for you, or name another folder: CHURNFLOW_HOME for what runs leave behind, TMPDIR for a while"
)
_REMEDIES = {
    errno.ENOSPC: _FULL,
    errno.EDQUOT: _FULL,
    errno.EACCES: _CLOSED,
    errno.EPERM: _CLOSED,
    errno.EROFS: _CLOSED,
    errno.EMFILE: "raise the limit of open files (ulimit -n), and run this again",
}


def os_error_message(error: BaseException) -> str | None:
    """One line about a full disk, missing permissions or too many open files, with the remedy; None for any other error."""
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return None
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}; {_REMEDIES[error.errno]}"
