"""A simulated call: keys, time, callbacks and events.

Rule 1: no method sleeps: `PhoneCall.wait` advances the time of its call; on a line with a clock
        `PhoneCall.due` is the time at which to call `PhoneCall.on_time`.
Rule 2: `receiver.simulator.flow` decides what the IVR does; `PhoneCall` sends the callbacks,
        records the events and calls the listener. Only misuse of a telephone raises.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

from receiver.calls import Call
from receiver.errors import ReceiverError
from receiver.pbx.callback_trace import Outcome, Step, render
from receiver.simulator.events import Event, Events, Moment, PendingCallback
from receiver.simulator.flow import Flow
from receiver.text import line

Listener = Callable[["PhoneCall", Event], None]
"""Called with each event of a call as it happens; it must not block."""

MAX_ANNOUNCEMENTS = 20
"""Announcements that are played in a row without a clock; more of them lead in a circle."""

_KEYS = re.compile(r"[0-9*#]+")


class LineError(ReceiverError):
    """The call or the line was used in a way that is impossible on a telephone."""

    exit_code = 2


class PhoneCall:
    """A call that `receiver.simulator.line.Line.dial` made. ::

        call = await phone.dial("8000", caller="101")
        await call.press("1")
        assert call.forwarded_to == "222"

    Parameters:
        flow: the state of the IVR.
        call: the caller and the IVR.
        ask: sends a callback to its action URL.
        moment: returns the time, given the seconds by which the call is ahead of the line.
        listener: called with each event.

    Attributes:
        call: see above.
        steps: the steps so far.
        events: the events so far.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        call: Call,
        ask: Callable[[PendingCallback], Awaitable[Step]],
        moment: Callable[[float], Moment],
        listener: Listener,
    ) -> None:
        self.call = call
        self.steps: list[Step] = []
        self.events: list[Event] = []
        self._flow = flow
        self._ask = ask
        self._moment = moment
        self._listener = listener
        self._skipped = 0.0
        self._left = asyncio.Event()

    @property
    def outcome(self) -> Outcome | None:
        """The result of the IVR's part of the call, None before its end."""
        return self._flow.outcome

    @property
    def ended(self) -> bool:
        """Whether the IVR's part of the call has ended."""
        return self._flow.outcome is not None

    @property
    def forwarded_to(self) -> str | None:
        """The number that the call was forwarded to last, None if it was not forwarded.

        A call that is forwarded to another IVR of the PBX continues there: `press` is for it.
        """
        end = self._flow.outcome
        if end is not None and end.kind == "forwarded":
            return end.detail
        return self._flow.passed_to or None

    @property
    def ivr(self) -> str:
        """The number of the IVR that the call is in, or was in last."""
        return self._flow.ivr

    @property
    def prompts(self) -> int:
        """The number of times that IVRs have played their prompts."""
        return sum(event.kind == "prompt" for event in self.events)

    @property
    def announcements(self) -> tuple[str, ...]:
        """The numbers of the announcements that were played, see `receiver.Announcement`."""
        return tuple(self._flow.announced)

    @property
    def callbacks(self) -> tuple[Step, ...]:
        """The steps with a callback."""
        return tuple(step for step in self.steps if step.action is not None)

    @property
    def transcript(self) -> str:
        """All events for people, one per line, with requests and answers.

        Secrets are masked; numbers and DTMF input are not.
        """
        call = self.call
        name = f' "{call.caller_name}"' if call.caller_name else ""
        lines = [line(f'{call.caller}{name} calls {call.ivr}, "{call.ivr_name}"')]
        for event in self.events:
            at = f"{event.seconds - self.events[0].seconds:7.1f} s  "
            is_callback = event.step is not None and event.step.action is not None
            shown = render(event.step)[1:] if is_callback and event.step else [line(event.text)]
            lines += [at + shown[0], *(" " * len(at) + more for more in shown[1:])]
        return "\n".join(lines)

    @property
    def asking(self) -> bool:
        """Whether a callback is running; the IVR ignores keys meanwhile."""
        return self._flow.asking is not None

    @property
    def digits(self) -> str:
        """The DTMF input since the prompt, until the digit gap has passed."""
        return self._flow.digits

    @property
    def due(self) -> float | None:
        """The end of the next timer, in seconds on the line; None without a timer."""
        return self._flow.due

    @property
    def now(self) -> float:
        """The time of this call, in seconds."""
        return self._now().seconds

    @property
    def hides_keys(self) -> bool:
        """Whether texts hide the DTMF input, because an action of the IVR is sensitive."""
        return self._flow.hides_keys

    @property
    def in_ivr(self) -> float:
        """The seconds from the arrival to the last event."""
        return self.events[-1].seconds - self.events[0].seconds

    @property
    def skipped(self) -> float:
        """The seconds by which `wait` has advanced the time of this call."""
        return self._skipped

    async def press(self, digits: str) -> Step:
        """Press keys, let the digit gap pass, and return the last step.

        Keys after one that ended the call are ignored. Announcements are played to their end.

        Parameters:
            digits: one or more of ``0-9 * #``.

        Returns:
            The last of the steps that this caused.

        Raises:
            LineError: an invalid key, the call has ended, or a callback is running.
        """
        self._check(digits)
        if self.asking:
            raise LineError("a callback is running: the IVR ignores keys until it is answered")
        for key in digits:
            await self._go_on(self._flow.key(key, self._now()))
            if self.ended:
                break
        if self._flow.digits and self.due is not None:
            await self.wait(self.due - self.now)
        await self.play_on()
        return self.steps[-1]

    async def key(self, key: str) -> tuple[Step, ...]:
        """Press one key, and wait only for a callback that it causes at once.

        Parameters:
            key: one of ``0-9 * #``.

        Returns:
            The steps that this caused; most keys cause none before the digit gap has passed.

        Raises:
            LineError: an invalid key, or the call has ended.
        """
        self._check(key, most=1)
        return await self._go_on(self._flow.key(key, self._now()))

    async def wait(self, seconds: float) -> tuple[Step, ...]:
        """Advance the time of the call, and return the steps that this caused.

        Parameters:
            seconds: simulated, without sleeping.
        """
        made = len(self.steps)
        until = self.now + seconds
        while self.due is not None and self.due <= until:
            self._skip(self.due)
            await self.on_time()
        self._skip(until)
        return tuple(self.steps[made:])

    async def on_time(self) -> tuple[Step, ...]:
        """Run the timers that are due, for a line with a clock; return the steps."""
        return await self._go_on(self._flow.on_time(self._now()))

    async def hang_up(self) -> None:
        """Hang up. Nothing happens if the call has ended."""
        await self._go_on(self._flow.hang_up(self._now()))

    async def until_ended(self) -> None:
        """Wait until the IVR's part of the call has ended."""
        await self._left.wait()

    async def play_on(self) -> None:
        """Let the announcements that are playing end, on a line without a clock."""
        for _ in range(MAX_ANNOUNCEMENTS):
            if not self._flow.announcing or self.due is None:
                return
            await self.wait(self.due - self.now)

    async def arrive(self) -> None:
        """Begin the call; `Line.dial` does it."""
        await self._go_on(self._flow.arrive(self._now()))

    async def _go_on(self, events: Events) -> tuple[Step, ...]:
        """Record events and send callbacks until nothing is pending."""
        made = len(self.steps)
        while events:
            for event in events:
                self._record(event)
            ask = events[-1].ask
            if ask is None:
                break
            step = await self._ask(ask)
            now = self._now()
            decided = Event("decided", now.seconds, f"{step.text}: {step.result}", step=step)
            events = (decided, *self._flow.answered(step.outcome, now))
        return tuple(self.steps[made:])

    def _record(self, event: Event) -> None:
        self.events.append(event)
        if event.step is not None:
            self.steps.append(event.step)
        if self.ended:
            self._left.set()
        self._listener(self, event)

    def _check(self, keys: str, most: int | None = None) -> None:
        if self._flow.outcome is not None:
            raise LineError(f"the call was {self._flow.outcome.kind}: the IVR ignores keys")
        if not isinstance(keys, str):
            raise LineError(f'keys are a string, as in press("1"), not {type(keys).__name__}')
        if not _KEYS.fullmatch(keys) or (most and len(keys) > most):
            raise LineError("a telephone has the keys 0 to 9, * and #: press one or more of them")

    def _now(self) -> Moment:
        return self._moment(self._skipped)

    def _skip(self, until: float) -> None:
        self._skipped += max(0.0, until - self.now)
