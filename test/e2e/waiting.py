"""Waiting for conditions, never for time."""

import time


def wait_until(condition, limit_s, what):
    """Polls until condition() is truthy and returns that; fails after limit_s seconds.

    An exception counts as "not yet" and is part of the failure's message.
    """
    deadline = time.monotonic() + limit_s
    last = None
    while True:
        try:
            last = condition()
            if last:
                return last
        except (OSError, ValueError, LookupError, AssertionError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {limit_s} s: {what} (last seen: {last!r})")
        time.sleep(0.02)
