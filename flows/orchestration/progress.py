"""Progress of a long step: an occasional line in the terminal, with the remaining time."""

import time
from collections.abc import Callable

EVERY = 10.0  # seconds


def lines(what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """Return a callback for (done, total) that prints a line at most every ten seconds.

    Shorter steps print nothing. Cards are not refreshed meanwhile: their final rendering would have to wait.
    """
    begun = reported = clock()

    def tell(done: int, total: int) -> None:
        nonlocal reported
        now = clock()
        if now - reported >= EVERY and done:
            reported = now
            print(f"{what}: {done} of {total}, about {(now - begun) / done * (total - done):.0f} s left", flush=True)

    return tell
