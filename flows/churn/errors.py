"""The one exception a user is meant to read, and what the machine's own refusals mean to one."""

import errno


class ChurnError(Exception):
    """Something a person can mend. The message names the file, the column, the value and the way out."""


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


def refusal(error: BaseException) -> str | None:
    """What a full disk or a place without rights means, in a line; None for every other error."""
    if not isinstance(error, OSError) or error.errno not in _REMEDIES:
        return None
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror}; {_REMEDIES[error.errno]}"
