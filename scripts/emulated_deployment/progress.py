"""What is said while it runs, and what is said when something is wrong."""

import contextlib
import time


class Failed(Exception):
    """Something is not as it must be."""


def must(holds, what):
    if not holds:
        raise Failed(what)


@contextlib.contextmanager
def step(name):
    """Says what is done, and how long it took. A failure is told which step it was in."""
    print(f"{name} ... ", end="", flush=True)
    began = time.monotonic()
    try:
        yield
    except BaseException as failure:
        print("failed", flush=True)
        failure.step = name
        raise
    print(f"{time.monotonic() - began:.1f} s", flush=True)


def until(what, within_s, look):
    """Asks until the answer is something, and gives it."""
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        found = look()
        if found:
            return found
        time.sleep(0.1)
    raise Failed(f"{what}: not within {within_s} s")
