"""What the machine refuses - a full disk, no rights - is a line; every other error keeps its traceback."""

import errno

import base
import pytest
from churn.errors import ChurnError, os_error_message


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (PermissionError(errno.EACCES, "Permission denied", "/srv/x"), "/srv/x: Permission denied; make it writable for you, or"),
        (OSError(errno.EROFS, "Read-only file system", "/srv"), "/srv: Read-only file system; make it writable for you, or"),
        (OSError(errno.ENOSPC, "No space left on device"), "No space left on device; free space there, or on the disk of"),
        (OSError(errno.EMFILE, "Too many open files", "a"), "a: Too many open files; raise the limit of open files (ulimit -n)"),
    ],
)  # fmt: skip
def test_a_refusal_ends_the_command_with_its_place_and_the_way_out(
    error: OSError, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert str(os_error_message(error)).startswith(said)
    with pytest.raises(SystemExit) as end, base.stopping():
        raise error
    assert str(end.value).startswith(said)
    monkeypatch.setenv(base.DEBUG, "1")
    with pytest.raises(OSError, match=r".") as shown, base.stopping():
        raise error
    assert shown.value is error


def test_other_errors_are_nobodys_to_hide(monkeypatch: pytest.MonkeyPatch) -> None:
    for error in (FileNotFoundError(errno.ENOENT, "No such file", "x"), KeyError("a fault of ours")):
        assert os_error_message(error) is None
        with pytest.raises(type(error)), base.stopping():
            raise error
    with pytest.raises(SystemExit, match="mend it"), base.stopping():
        raise ChurnError("mend it")
    monkeypatch.setenv(base.DEBUG, "1")
    with pytest.raises(ChurnError, match="mend it"), base.stopping():
        raise ChurnError("mend it")
