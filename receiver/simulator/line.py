"""A telephone line into the simulated PBX: dial, press keys, wait, and see what the PBX does.

Rule 1: nobody is slept for: time on the line passes when it is told to, by `PhoneCall.wait`, or
        with a clock that is given; then `PhoneCall.due` says when to call `PhoneCall.on_time`.
Rule 2: whatever the far end does becomes an `Outcome`; only misuse of the line raises.
Rule 3: what the IVR does is `receiver.simulator.flow`; here it is carried out, and told to a
        listener as it happens.

What a real PBX sends as ``input`` of a CALLER callback is not documented; here it is empty. A
session id is sent since 22.3.
"""

from __future__ import annotations

import re
import secrets
import ssl
import time
from collections.abc import Callable
from datetime import datetime, timedelta

import httpx

from receiver.calls import Call
from receiver.errors import ReceiverError
from receiver.printable import line
from receiver.simulator.delivery import Courier
from receiver.simulator.flow import Ask, Event, Events, Flow, Moment
from receiver.simulator.hours import LocalTime
from receiver.simulator.model import Pbx
from receiver.simulator.trace import Outcome, Step, render
from receiver.simulator.trouble import Trouble

Listener = Callable[["PhoneCall", Event], None]
"""Is told each event of a call as it happens; it must not wait for anything."""

_KEYS = re.compile(r"[0-9*#]+")


class LineError(ReceiverError):
    """The line was used in a way that no telephone allows."""


class Line:
    """A line into ``pbx``.

    Parameters:
        pbx: the PBX in memory.
        transport: carries the requests, such as `httpx.ASGITransport`; it is not closed. By default
            every callback has a connection of its own.
        verify: True for the usual certificate authorities, False for no check, or a context.
        scale: real seconds for each second of a timeout; tests make it small.
        clock: seconds from some moment on.
        session_id: gives the id of a new call.
        cnonce: gives the client's nonce of a Digest answer.
        seconds: the time on the line; by default it stands still, and only `PhoneCall.wait` moves
            it. With ``time.monotonic`` somebody has to call `PhoneCall.on_time` when it is due.
        today: the date and the time at the PBX, for office hours and holidays.
        real_time: False has a slow network (`Trouble`) cost no time but on paper.
        listener: is told what happens on all calls.

    Attributes:
        trouble: what is wrong with the network or the credentials; may be set at any time.
    """

    def __init__(
        self,
        pbx: Pbx,
        *,
        transport: httpx.AsyncBaseTransport | None = None,
        verify: ssl.SSLContext | bool = True,
        scale: float = 1.0,
        clock: Callable[[], float] = time.perf_counter,
        session_id: Callable[[], str] = lambda: str(secrets.randbelow(10**18)),
        cnonce: Callable[[], str] = lambda: secrets.token_hex(16),
        seconds: Callable[[], float] = lambda: 0.0,
        today: Callable[[], datetime] = datetime.now,
        real_time: bool = True,
        listener: Listener = lambda call, event: None,
    ) -> None:
        self._pbx = pbx
        self._courier = Courier(
            transport=transport,
            verify=verify,
            scale=scale,
            clock=clock,
            cnonce=cnonce,
            real_time=real_time,
        )
        self._session_id = session_id
        self._seconds = seconds
        self._today = today
        self._listener = listener

    @property
    def trouble(self) -> Trouble:
        return self._courier.trouble

    @trouble.setter
    def trouble(self, trouble: Trouble) -> None:
        self._courier.trouble = trouble

    async def dial(
        self,
        extension: str,
        *,
        caller: str,
        caller_name: str = "",
        listener: Listener | None = None,
    ) -> PhoneCall:
        """Call an IVR, and have the PBX ask the CALLER action URL that matches, if one does.

        Parameters:
            extension: the extension number of the IVR.
            caller: the caller's number.
            caller_name: the caller's display name.
            listener: is told what happens on this call, instead of the line's.

        Raises:
            LineError: there is no such IVR.
        """
        ivr = self._pbx.ivr_at(extension)
        if ivr is None:
            raise LineError(f"the PBX has no IVR with the extension number {extension!r}")
        session = self._session_id() if self._pbx.behaviour.has("22.3") else ""
        call = Call(caller, caller_name, extension, ivr.name, session_id=session)
        phone_call = PhoneCall(self, call, Flow(self._pbx, call), listener or self._listener)
        await phone_call._arrive()
        return phone_call

    async def _ask(self, ask: Ask) -> Step:
        """Carry a callback to its action URL, and give what became of it."""
        action = ask.action
        exchanges, outcome, seconds = await self._courier.deliver(action, ask.call)
        deadline = self._courier.seconds(action.request_timeout)
        return Step(
            ask.trigger,
            ask.kind,
            ask.call.digits,
            action.name,
            exchanges,
            outcome,
            seconds,
            deadline,
        )

    def _moment(self, skipped: float) -> Moment:
        now = self._today() + timedelta(seconds=skipped)
        date = (now.year, now.month, now.day, now.hour, now.minute, now.weekday())
        return Moment(self._seconds() + skipped, LocalTime(*date))


class PhoneCall:
    """A call that `Line.dial` made.

    Attributes:
        call: who calls, and the IVR, as the PBX knows it.
        steps: what was decided so far, in its order.
        events: all that happened on the line, in its order.
    """

    def __init__(self, line: Line, call: Call, flow: Flow, listener: Listener) -> None:
        self.call = call
        self.steps: list[Step] = []
        self.events: list[Event] = []
        self._line = line
        self._flow = flow
        self._listener = listener
        self._skipped = 0.0

    @property
    def outcome(self) -> Outcome | None:
        """How the IVR's part of the call ended, None while it goes on."""
        return self._flow.outcome

    @property
    def ended(self) -> bool:
        """Whether the IVR is out of the call: it was forwarded or hung up."""
        return self._flow.outcome is not None

    @property
    def forwarded_to(self) -> str | None:
        """The number that the call was forwarded to, None if it was not."""
        end = self._flow.outcome
        return end.detail if end is not None and end.kind == "forwarded" else None

    @property
    def prompts(self) -> int:
        """How often the IVR has played its prompt."""
        return sum(event.kind == "prompt" for event in self.events)

    @property
    def callbacks(self) -> tuple[Step, ...]:
        """The steps on which an action URL was asked."""
        return tuple(step for step in self.steps if step.action is not None)

    @property
    def transcript(self) -> str:
        """All that happened, for people: a line an event, with what went over the wire.

        Secrets are masked; numbers and what was keyed in are not.
        """
        call = self.call
        name = f' "{call.caller_name}"' if call.caller_name else ""
        lines = [line(f'{call.caller}{name} calls {call.ivr}, "{call.ivr_name}"')]
        for event in self.events:
            at = f"{event.seconds - self.events[0].seconds:7.1f} s  "
            asked = event.step is not None and event.step.action is not None
            shown = render(event.step)[1:] if asked and event.step else [line(event.text)]
            lines += [at + shown[0], *(" " * len(at) + more for more in shown[1:])]
        return "\n".join(lines)

    @property
    def asking(self) -> bool:
        """Whether an action URL is being asked now; the IVR hears no keys meanwhile."""
        return self._flow.asking is not None

    @property
    def digits(self) -> str:
        """What was keyed in since the prompt, and waits for the digit gap to pass."""
        return self._flow.digits

    @property
    def due(self) -> float | None:
        """When the next timer ends, in seconds on the line; None if none runs."""
        return self._flow.due

    @property
    def now(self) -> float:
        """The time on this call's line, in seconds."""
        return self._now().seconds

    async def press(self, digits: str) -> Step:
        """Key in digits, wait for the digit gap to pass, and see what the PBX does.

        Keys that come after one that ended the call are not heard by anybody.

        Parameters:
            digits: one or more of ``0-9 * #``.

        Returns:
            The last of the steps that this made.

        Raises:
            LineError: there are no such keys, the call has ended, or a callback is under way.
        """
        self._check(digits)
        if self.asking:
            raise LineError("an action URL is being asked: the IVR hears no keys until it answers")
        for key in digits:
            await self._go_on(self._flow.key(key, self._now()))
            if self.ended:
                break
        if self._flow.digits and self.due is not None:
            await self.wait(self.due - self.now)
        return self.steps[-1]

    async def key(self, key: str) -> tuple[Step, ...]:
        """Press one key, and wait for nothing but a callback that it may cause at once.

        Parameters:
            key: one of ``0-9 * #``.

        Returns:
            The steps that this made; most keys make none before the digit gap has passed.

        Raises:
            LineError: there is no such key, or the call has ended.
        """
        self._check(key, most=1)
        return await self._go_on(self._flow.key(key, self._now()))

    async def wait(self, seconds: float) -> tuple[Step, ...]:
        """Let time pass on the line; the steps that were made meanwhile.

        Parameters:
            seconds: nobody is slept for, whatever clock the line has.
        """
        made = len(self.steps)
        until = self.now + seconds
        while self.due is not None and self.due <= until:
            self._skip(self.due)
            await self.on_time()
        self._skip(until)
        return tuple(self.steps[made:])

    async def on_time(self) -> tuple[Step, ...]:
        """Do what is due by now, for a line with a clock; the steps that this made."""
        return await self._go_on(self._flow.on_time(self._now()))

    async def hang_up(self) -> None:
        """The caller hangs up. Nothing happens if the call has ended."""
        await self._go_on(self._flow.hang_up(self._now()))

    async def _arrive(self) -> None:
        await self._go_on(self._flow.arrive(self._now()))

    async def _go_on(self, events: Events) -> tuple[Step, ...]:
        """Tell what happened, ask what is to be asked, and so on until there is nothing to do."""
        made = len(self.steps)
        while events:
            for event in events:
                self._tell(event)
            ask = events[-1].ask
            if ask is None:
                break
            step = await self._line._ask(ask)
            now = self._now()
            decided = Event("decided", now.seconds, f"{step.text}: {step.outcome.text}", step=step)
            events = (decided, *self._flow.answered(step.outcome, now))
        return tuple(self.steps[made:])

    def _tell(self, event: Event) -> None:
        self.events.append(event)
        if event.step is not None:
            self.steps.append(event.step)
        self._listener(self, event)

    def _check(self, keys: str, most: int | None = None) -> None:
        if self._flow.outcome is not None:
            raise LineError(f"the call was {self._flow.outcome.kind}: no IVR hears the keys")
        if not _KEYS.fullmatch(keys) or (most and len(keys) > most):
            raise LineError("a telephone has the keys 0 to 9, * and #: press one or more of them")

    def _now(self) -> Moment:
        return self._line._moment(self._skipped)

    def _skip(self, until: float) -> None:
        self._skipped += max(0.0, until - self.now)
