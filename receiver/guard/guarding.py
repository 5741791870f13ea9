"""The dead man's switch: a service that does not answer is taken off the PBX, and put back.

Rule 1: the service is asked as the PBX asks it, at its public URL, one action URL after the other,
        so that what is wrong with one of them alone switches nothing off.
Rule 2: a failure counts only if the PBX is reached in the same round: a guard that is cut off
        itself gathers none. A service that answers and will not have this guard (its settings, its
        clock, its address) is alive: that is logged, and switches nothing. Where it refuses the
        credentials it is not asked again for so long that it forgets that.
Rule 3: when to switch is decided by `receiver.guard.deadman`, what to switch by
        `receiver.guard.switching`: what a guard switched off a guard switches on, whichever; what a
        person drained stays off.
Rule 4: only the holder of the lease asks and acts; before each change it looks whether it still is.
        Whoever gets the lease begins anew, and trusts nothing seen before.
Rule 5: nothing is stored. Ended at any moment it leaves the PBX as it is, and the next guard goes
        on; an error of the PBX is logged, and tried again later and later, up to `LONGEST` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from receiver.auth.throttle import FORGET
from receiver.errors import PbxError, PbxUnreachable, RegistrationError
from receiver.guard.deadman import Rules, Vigil
from receiver.guard.draining import OFF, ON, switch
from receiver.guard.leases import RENEW, Hold
from receiver.pbx.client import PbxClient
from receiver.pbx.models import IvrSummary
from receiver.registration.plans import Change
from receiver.registration.probing import ask, is_refusal, judge
from receiver.registration.wanting import Wanted
from receiver.secrets import Secret
from receiver.shared.patience import StoreError
from receiver.simulator.delivery import Courier
from receiver.telemetry.seldom import Seldom

LONGEST = 30.0
"""Seconds after which a PBX that does not answer is tried again at the latest."""

log = logging.getLogger("receiver")


@dataclass(frozen=True, slots=True)
class Post:
    """What is guarded.

    Attributes:
        wanted: what is declared for the PBX.
        base: the public URL of the service.
        secret: the service's, for the mark that keeps the handlers out of it.
        pbx: the label of the PBX.
        name: what the log calls it.
        rules: see there.
        interval: seconds between two rounds.

    Raises:
        RegistrationError: nothing is declared that could be asked.
    """

    wanted: tuple[Wanted, ...]
    base: str
    secret: Secret
    pbx: str = ""
    name: str = "the PBX"
    rules: Rules = field(default_factory=Rules)
    interval: float = 3.0

    def __post_init__(self) -> None:
        if not any(one.action.enabled for one in self.wanted):
            raise RegistrationError(
                f"there is nothing to guard: no action is enabled on {self.name}"
            )


class _LostError(Exception):
    """The lease is somebody else's."""


class Guard:
    """Guards one service on one PBX.

    Parameters:
        post: what is guarded.
        client: of the PBX.
        courier: carries what the PBX would send.
        hold: whether this guard is the one that acts.
        clock: seconds, by a clock that is never set.
        sleep: waits so many seconds.
        now: seconds since the epoch, for the mark.
    """

    def __init__(
        self,
        post: Post,
        client: PbxClient,
        courier: Courier,
        hold: Hold,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._post, self._client, self._courier, self._hold = post, client, courier, hold
        self._clock, self._sleep, self._now = clock, sleep, now
        # A service takes the credentials of the next epoch before a rotation and after it.
        self._asked: Sequence[Wanted] = [
            replace(one, action=one.coming or one.action)
            for one in post.wanted
            if one.action.enabled
        ]
        self._turn = 0
        self._vigil = Vigil()
        self._acting = False
        self._seldom = Seldom()
        self._trouble: PbxError | RegistrationError | None = None
        self._again = self._quiet = float("-inf")
        self._pause = 0.0

    async def run(self, stop: asyncio.Event, *, restore: bool = False) -> None:
        """Guard until ``stop``.

        Parameters:
            stop: ends it.
            restore: switch on at the end what a guard switched off.
        """
        tasks = {
            asyncio.create_task(self._keep()),
            asyncio.create_task(self._watch()),
            asyncio.create_task(_wait(stop)),
        }
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
            if restore and self._hold.held:
                await self._end(tasks)
                await self._switch(True)
        finally:
            await self._end(tasks)
            await self._hold.end()

    async def round(self) -> None:
        """Ask once, and act on it."""
        if not self._hold.held:
            self._stand_back()
            return
        if not self._acting:
            self._acting, self._vigil = True, Vigil()
            log.info("guarding %s on %s", self._post.base, self._post.name)
        good = await self._ask()
        if good is False and not await self._reaches_pbx():
            good = None
        self._vigil = self._vigil.saw(good, self._clock())
        on = self._vigil.due(self._post.rules, self._clock())
        if on is not None and self._hold.held and self._clock() >= self._again:
            await self._switch(on)

    async def renew(self) -> None:
        """Take or prolong the lease; a store that is down is logged."""
        try:
            await self._hold.renew()
        except StoreError as error:
            self._say(logging.ERROR, f"no lease, the store is out of order ({error})")

    # what happens again and again ------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self.renew()
            await self._sleep(RENEW)

    async def _watch(self) -> None:
        while True:
            await self.round()
            await self._sleep(self._post.interval)

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _stand_back(self) -> None:
        if self._acting:
            log.warning("the lease on %s is lost: this guard stands back", self._post.name)
        self._acting = False

    # the service -----------------------------------------------------------------------------

    async def _ask(self) -> bool | None:
        """Whether the service is in order; None if that cannot be told from here."""
        if self._clock() < self._quiet:
            return None
        item = self._asked[self._turn % len(self._asked)]
        self._turn += 1
        ivr = IvrSummary(id="", extension_number=item.ivr)
        delivered = await ask(item, ivr, self._post.secret, self._courier, now=self._now())
        # How long it takes is a matter for receiver doctor.
        finding = judge(item, delivered, margin=float("inf"))
        if finding.level != "fault":
            return True
        unclear = is_refusal(delivered)
        if unclear and delivered.exchanges[-1].status == 401:
            # More of them, and the service shuts out all that comes from here, as the PBX may.
            self._quiet = self._clock() + FORGET + 1
        doubt = ", which says nothing about the PBX's callbacks" if unclear else ""
        self._say(logging.WARNING, f"{finding.subject}: {finding.text}{doubt}; {finding.cure}")
        return None if unclear else False

    def _say(self, level: int, line: str) -> None:
        if (more := self._seldom.due(line, self._clock())) is not None:
            log.log(level, "%s%s", line, more)

    # the PBX ---------------------------------------------------------------------------------

    async def _reaches_pbx(self) -> bool:
        if self._clock() < self._again:
            return False
        try:
            _ = [ivr async for ivr in self._client.ivrs.list(top=1)]
        except PbxError as error:
            self._put_off(error)
            return False
        if isinstance(self._trouble, PbxUnreachable):
            self._reached()  # what it refused to do is another matter
        return True

    async def _switch(self, on: bool) -> None:
        post, done = self._post, list[Change]()

        def look(*_: int) -> None:
            if not self._hold.held:
                raise _LostError

        def progress(change: Change) -> None:
            done.append(change)
            look()

        whole = False
        try:
            await switch(
                self._client,
                post.wanted,
                post.base,
                ON if on else OFF,
                "guard",
                pbx=post.pbx,
                progress=progress,
                reading=look,
            )
            whole = True
            self._reached()
        except (PbxError, RegistrationError) as error:
            self._put_off(error)
        except _LostError:
            self._stand_back()
        self._vigil = self._vigil.did(on, self._clock(), changed=bool(done), whole=whole)
        if done:
            self._tell_switched(on, len(done), whole=whole)

    def _tell_switched(self, on: bool, done: int, *, whole: bool) -> None:
        log.warning(
            "%d action URLs of %s on %s switched %s%s",
            done,
            self._post.base,
            self._post.name,
            "on, it is in order" if on else "off, it does not answer as it should",
            "" if whole else "; not all of them yet",
        )

    def _put_off(self, error: PbxError | RegistrationError) -> None:
        self._pause = min(LONGEST, max(self._post.interval, 2 * self._pause))
        self._again = self._clock() + self._pause
        self._trouble = error
        self._say(logging.ERROR, f"{self._post.name} cannot be switched: {error}")

    def _reached(self) -> None:
        if self._trouble is not None:
            log.warning("%s is within reach again", self._post.name)
        self._trouble, self._pause, self._again = None, 0.0, float("-inf")


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
