"""No more requests than the CRM allows, by whatever asks it.

Rule 1: a request waits for its turn. If that comes too late for whoever waits it is not sent, and
        takes no turn from others.
Rule 2: work that nobody waits for goes `aside`: it takes turns that are free at once, and never the
        last one in hand. So a backlog of log entries delays no caller.
Rule 3: a CRM that answers 429 is not asked again before it says so (``Retry-After``).
Rule 4: each process keeps the pace for itself, with its share of what is allowed: what the CRM
        allows divided by ``workers``. ``receiver serve --workers`` tells its processes how many
        they are (``WEB_CONCURRENCY``); how many machines there are nobody but the user knows.
"""

from __future__ import annotations

import asyncio
import math
import os

from receiver import Call, DeclarationError, Unavailable

PATIENCE = 1.0
"""Seconds that a look-up waits for its turn at most."""

ASIDE = 60.0
"""Seconds that work waits which goes aside."""

HOLD = 1.0
"""Seconds for which a CRM is not asked that answered 429 and did not say how long."""

LONGEST_HOLD = 300.0
"""Most seconds of a Retry-After that are believed."""

_RESERVE = 0.05  # seconds of a call that are left for its answer


class Pace:
    """Turns, ``per_second`` of them in the long run.

    Parameters:
        per_second: what the CRM allows.
        burst: how many may come at once after a pause.
        workers: processes that share what is allowed, on all machines; 0 for those of this one.

    Raises:
        DeclarationError: the first two are not above 0, or the last is below.
    """

    def __init__(self, per_second: float, burst: int = 1, workers: int = 0) -> None:
        if not (0 < per_second < math.inf and burst >= 1 and workers >= 0):
            raise DeclarationError(
                "the pace of a CRM: per_second and burst are above 0, workers is 0 or more"
            )
        workers = workers or _on_this_machine()
        self._interval = workers / per_second
        self._slack = (max(burst // workers, 1) - 1) * self._interval
        self._next = -math.inf  # when the next turn would be, were there no burst
        self._shut = -math.inf

    async def turn(self, call: Call | None = None, *, aside: bool = False) -> None:
        """Wait for a turn.

        Parameters:
            call: who waits; None for somebody with `PATIENCE`.
            aside: nobody waits.

        Raises:
            Unavailable: it would come too late.
        """
        if aside:
            await self._spare()
            return
        now = asyncio.get_running_loop().time()
        patience = PATIENCE if call is None else min(PATIENCE, call.remaining() - _RESERVE)
        wait = max(self._next - self._slack, self._shut, now) - now
        if wait > patience:
            raise Unavailable("the CRM was not asked: it allows no more requests just now")
        self._take(now)
        if wait > 0:
            await asyncio.sleep(wait)

    def hold(self, seconds: float | None) -> None:
        """Give no turns for so many seconds, as the CRM demands; None if it named no time."""
        now = asyncio.get_running_loop().time()
        wait = HOLD if seconds is None else min(seconds, LONGEST_HOLD)
        self._shut = max(self._shut, now + wait)

    async def _spare(self) -> None:
        loop = asyncio.get_running_loop()
        until = loop.time() + ASIDE
        while (now := loop.time()) < until:
            spare = min(self._interval, self._slack)
            wait = max(self._next - self._slack + spare, self._shut) - now
            if wait <= 0:
                self._take(now)
                return
            await asyncio.sleep(min(wait, until - now))
        raise Unavailable("the CRM was not asked: it allows no more requests for a while")

    def _take(self, now: float) -> None:
        self._next = max(self._next, now) + self._interval


def _on_this_machine() -> int:
    """How many processes answer calls here, if whoever started them says so."""
    said = os.environ.get("WEB_CONCURRENCY", "")
    return max(int(said), 1) if said.isdecimal() else 1
