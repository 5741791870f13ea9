"""A call on the line: keys, time, and what the IVR makes of them.

Rule 1: nobody is slept for: `PhoneCall.wait` moves the time of its own call; on a line with a clock
        `PhoneCall.due` says when to call `PhoneCall.on_time`.
Rule 2: what the IVR does is `receiver.simulator.flow`; here it is carried out, kept, and told to a
        listener as it happens. Only misuse of a telephone raises.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

from receiver.calls import Call
from receiver.errors import ReceiverError
from receiver.printable import line
from receiver.simulator.flow import Ask, Event, Events, Flow, Moment
from receiver.simulator.trace import Outcome, Step, render

Listener = Callable[["PhoneCall", Event], None]
"""Is told each event of a call as it happens; it must not wait for anything."""

_KEYS = re.compile(r"[0-9*#]+")


class LineError(ReceiverError):
    """The line was used in a way that no telephone allows."""


class PhoneCall:
    """A call that `receiver.simulator.line.Line.dial` made.

    Parameters:
        flow: the IVR's side of it.
        call: who calls, and the IVR, as the PBX knows it.
        ask: carries a callback to its action URL.
        moment: what time it is, so many seconds ahead of the line's.
        listener: is told what happens.

    Attributes:
        call: see above.
        steps: what was decided so far, in its order.
        events: all that happened on the line, in its order.
    """

    def __init__(
        self,
        flow: Flow,
        *,
        call: Call,
        ask: Callable[[Ask], Awaitable[Step]],
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

    async def arrive(self) -> None:
        """Let it arrive; done by who makes it."""
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
            step = await self._ask(ask)
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
        return self._moment(self._skipped)

    def _skip(self, until: float) -> None:
        self._skipped += max(0.0, until - self.now)
