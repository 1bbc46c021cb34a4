"""How far a step that lasts is, as a line of the terminal now and then, with what is left."""

import time
from collections.abc import Callable

EVERY = 10.0  # seconds


def lines(what: str, clock: Callable[[], float] = time.monotonic) -> Callable[[int, int], None]:
    """What is called with the number done and the number of all, and prints a line every ten seconds at most.

    Nothing is said of a step that takes less. Cards are not refreshed meanwhile: their final rendering would wait for it.
    """
    begun = reported = clock()

    def tell(done: int, total: int) -> None:
        nonlocal reported
        now = clock()
        if now - reported >= EVERY and done:
            reported = now
            print(f"{what}: {done} of {total}, about {(now - begun) / done * (total - done):.0f} s left", flush=True)

    return tell
