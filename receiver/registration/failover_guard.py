"""Failover: disable the action URLs of a service that does not answer, and enable them again.

Rule 1: the guard sends callbacks to the public URL as the PBX does, one action URL after the
        other, so that a fault of one of them alone switches nothing off.
Rule 2: a failure counts only if the PBX is reached in the same round. A service that refuses this
        guard (its settings, its clock, its address), or has a certificate whose authority this
        machine never knew, is alive: that is logged, and switches nothing. After a refusal of the
        credentials the guard pauses until the service's throttle has expired.
Rule 3: `receiver.registration.failover_rules` decides when to switch,
        `receiver.registration.failover_switch` what to switch: any guard enables what a guard
        disabled; what the operator drained stays disabled.
Rule 4: only the holder of the lease probes and switches; before each change it checks the lease.
        A new holder starts from the current state, without earlier results.
Rule 5: nothing is stored. A guard that ends at any moment leaves the PBX as it is, and the next
        guard continues. Errors of the PBX are logged and retried with a growing delay, up to
        `MAX_RETRY_DELAY` seconds.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace

from receiver.auth.throttle import FAILURE_LIFE
from receiver.credentials import Secret
from receiver.errors import PbxError, PbxUnreachable, RegistrationError
from receiver.observability.log_throttle import LogThrottle
from receiver.pbx.callback_client import CallbackClient
from receiver.pbx.models import IvrSummary
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.changes import Change, Resource
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.diagnosis import has_unknown_authority, is_refusal
from receiver.registration.failover_drain import OFF, ON, switch
from receiver.registration.failover_rules import FailoverState, Rules
from receiver.registration.probe import result_of, send_probe
from receiver.storage.breaker import StoreError
from receiver.storage.leases import RENEW_INTERVAL, HeldLease
from receiver.text import counted

MAX_RETRY_DELAY = 30.0
"""Maximum delay in seconds between retries against a PBX that does not answer."""

log = logging.getLogger("receiver")


@dataclass(frozen=True, slots=True)
class GuardConfig:
    """The service and the PBX of a guard.

    Attributes:
        desired: the declared action URLs of the PBX.
        base: the public URL of the service.
        secret: of the service, for the probe tokens.
        pbx: the label of the PBX.
        name: the name of the PBX in the log.
        rules: the thresholds.
        interval: seconds between two probes.
        epoch: of the credentials of ``desired``; None if unknown.

    Raises:
        RegistrationError: no declared action is enabled, so there is nothing to probe.
    """

    desired: tuple[DesiredActionUrl, ...]
    base: str
    secret: Secret
    pbx: str = ""
    name: str = "the PBX"
    rules: Rules = field(default_factory=Rules)
    interval: float = 3.0
    epoch: int | None = None

    def __post_init__(self) -> None:
        if not any(one.action.enabled for one in self.desired):
            raise RegistrationError(
                f"there is nothing to guard: no action is enabled on {self.name}"
            )


class _LostError(Exception):
    """Another guard holds the lease."""


class Guard:
    """Guards one service on one PBX.

    Parameters:
        config: the service and the PBX.
        client: of the PBX.
        callbacks: sends callbacks as the PBX does.
        hold: the lease; only its holder acts.
        clock: returns the seconds of a monotonic clock.
        sleep: waits for a number of seconds.
        now: returns the seconds since the epoch, for the probe tokens.
    """

    def __init__(
        self,
        config: GuardConfig,
        client: PbxClient,
        callbacks: CallbackClient,
        hold: HeldLease,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._config, self._client, self._callbacks, self._hold = config, client, callbacks, hold
        self._clock, self._sleep, self._now = clock, sleep, now
        # A service accepts the credentials of the next epoch before a rotation and after it.
        self._probed: Sequence[DesiredActionUrl] = [
            replace(one, action=one.coming or one.action)
            for one in config.desired
            if one.action.enabled
        ]
        self._turn = 0
        self._state = FailoverState()
        self._acting: bool | None = None
        self._log_throttle = LogThrottle()
        self._trouble: PbxError | RegistrationError | None = None
        self._again = self._quiet = float("-inf")
        self._was_healthy = False
        self._pause = 0.0

    async def run(self, stop: asyncio.Event, *, restore: bool = False) -> None:
        """Guard until ``stop``.

        Parameters:
            stop: ends the guard.
            restore: enable at the end what a guard disabled.
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
        """Probe once, and switch if the rules say so."""
        if not self._hold.held:
            self._enter_standby()
            return
        if not self._acting:
            self._acting, self._state = True, FailoverState()
            log.info("guarding %s on %s", self._config.base, self._config.name)
        good = await self._probe()
        if good is False and not await self._reaches_pbx():
            good = None
        self._state = self._state.with_result(good, self._clock())
        on = self._state.next_switch(self._config.rules, self._clock())
        if on is not None and self._hold.held and self._clock() >= self._again:
            await self._switch(on)

    async def renew(self) -> None:
        """Take or renew the lease; log a store that is down."""
        try:
            await self._hold.renew()
        except StoreError as error:
            self._say(logging.ERROR, f"no lease, the store is unavailable ({error})")

    # loops ------------------------------------------------------------------------------------

    async def _keep(self) -> None:
        while True:
            await self.renew()
            await self._sleep(RENEW_INTERVAL)

    async def _watch(self) -> None:
        while True:
            await self.round()
            await self._sleep(self._config.interval)

    async def _end(self, tasks: set[asyncio.Task[None]]) -> None:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def _enter_standby(self) -> None:
        if self._acting is not False:
            level, state = (logging.WARNING, "lost") if self._acting else (logging.INFO, "not held")
            log.log(level, "the lease on %s is %s: guard on standby", self._config.name, state)
        self._acting = False

    # the service -----------------------------------------------------------------------------

    async def _probe(self) -> bool | None:
        """Return whether the service is healthy; None if that cannot be determined from here."""
        if self._clock() < self._quiet:
            return None
        item = self._probed[self._turn % len(self._probed)]
        self._turn += 1
        ivr = IvrSummary(id="", extension_number=item.ivr)
        delivered = await send_probe(
            item, ivr, self._config.secret, self._callbacks, now=self._now()
        )
        # receiver doctor checks the duration.
        finding = result_of(item, delivered, margin=float("inf"), epoch=self._config.epoch)
        if finding.level != "fault":
            self._was_healthy = True
            return True
        refused = is_refusal(delivered.exchanges)
        unclear = refused or (not self._was_healthy and has_unknown_authority(delivered.outcome))
        if refused and delivered.exchanges[-1].status == 401:
            # More of them, and the service would throttle this address, which may be the PBX's.
            self._quiet = self._clock() + FAILURE_LIFE + 1
        doubt = ", which says nothing about the PBX's callbacks" if unclear else ""
        self._say(logging.WARNING, f"{finding.subject}: {finding.text}{doubt}; {finding.cure}")
        return None if unclear else False

    def _say(self, level: int, line: str) -> None:
        if (more := self._log_throttle.due(line, self._clock())) is not None:
            log.log(level, "%s%s", line, more)

    # the PBX ---------------------------------------------------------------------------------

    async def _reaches_pbx(self) -> bool:
        if self._clock() < self._again:
            return False
        try:
            _ = [ivr async for ivr in self._client.ivrs.list(top=1)]
        except PbxError as error:
            self._postpone(error)
            return False
        if isinstance(self._trouble, PbxUnreachable):
            self._reached()  # a refused change stays logged as trouble
        return True

    async def _switch(self, on: bool) -> None:
        config, done = self._config, list[Change[Resource]]()

        def check_lease(*_: int) -> None:
            if not self._hold.held:
                raise _LostError

        def progress(change: Change[Resource]) -> None:
            done.append(change)
            check_lease()

        complete = False
        try:
            await switch(
                self._client,
                config.desired,
                config.base,
                ON if on else OFF,
                "guard",
                pbx=config.pbx,
                progress=progress,
                reading=check_lease,
            )
            complete = True
            self._reached()
        except (PbxError, RegistrationError) as error:
            self._postpone(error)
        except _LostError:
            self._enter_standby()
        self._state = self._state.with_switch(
            on, self._clock(), changed=bool(done), complete=complete
        )
        if done:
            self._log_switched(on, len(done), complete=complete)

    def _log_switched(self, on: bool, done: int, *, complete: bool) -> None:
        log.warning(
            "%s of %s on %s switched %s%s",
            counted(done, "action URL"),
            self._config.base,
            self._config.name,
            "on, it is healthy" if on else "off, it does not answer as it should",
            "" if complete else "; not all of them yet",
        )

    def _postpone(self, error: PbxError | RegistrationError) -> None:
        self._pause = min(MAX_RETRY_DELAY, max(self._config.interval, 2 * self._pause))
        self._again = self._clock() + self._pause
        self._trouble = error
        self._say(logging.ERROR, f"{self._config.name} cannot be switched: {error}")

    def _reached(self) -> None:
        if self._trouble is not None:
            log.warning("%s is within reach again", self._config.name)
        self._trouble, self._pause, self._again = None, 0.0, float("-inf")


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()
