"""Runs a handler inside its deadline; whatever it does, a reply comes out.

Rule 1: the deadline counts from the arrival of the request, or of the first of both that digest
        needs, and comes from the ``request_timeout`` that is registered on the PBX, less a margin
        for the way there and back.
Rule 2: late, raised, nonsense, no room, something broken that it needs: the ladder of fallbacks.
Rule 3: what is late is cancelled, watched if it cannot be, or handed over to the call's next
        callback if the action says so.
Rule 4: nobody is told to repeat more often in a row than the action allows.
Rule 5: what a handler raised is logged as `receiver.functions.attempts` says.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from queue import Full
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from receiver.actions import Action
from receiver.calls import Call
from receiver.contexts import Context, Deadline
from receiver.dispatch.margins import Margin
from receiver.dispatch.repeats import Repeats
from receiver.dispatch.runs import Run, Runs
from receiver.errors import Unavailable
from receiver.functions.attempts import Failed, describe
from receiver.ladders import Fallback, descend
from receiver.replies import Repeat, Reply

MARGIN = 0.5
"""Seconds of the PBX's ``request_timeout`` that are kept for the way there and back."""

Reason = Literal["handled", "late", "raised", "invalid", "shed", "broken", "looped", "handed over"]
"""Why the caller gets this reply; all but the first mean the fallback, or a repeat of the prompt:

- late, raised, invalid: what the handler did, or the request.
- shed: it was not asked, because too many calls are with it.
- broken: what it needs is out of order (`receiver.errors.Unavailable`).
- looped: it told the caller to repeat too often.
- handed over: it goes on; its answer is given when the call asks again.
"""

log = logging.getLogger("receiver")

Loop = asyncio.AbstractEventLoop

MakeContext = Callable[[Action, Call, Deadline, Loop], Context]
"""What stands behind a call that is dispatched in the event loop that is running."""


class Decision(Struct, frozen=True, eq=False):
    """What the PBX is told, and why.

    Attributes:
        release: to be called once the answer is on its way.
    """

    reply: Reply
    reason: Reason
    release: Callable[[], None] = lambda: None

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Decision):
            return NotImplemented
        return (self.reply, self.reason) == (other.reply, other.reason)

    def __hash__(self) -> int:
        return hash((self.reply, self.reason))


class Dispatcher:
    """Asks the handlers of an app.

    Parameters:
        fallback: the last rung of the ladder, for all actions.
        fallbacks: by the label of a PBX, what counts there instead of ``fallback``.
        margin: seconds, see `MARGIN`.
        threads: how many plain handlers may run at once.
        log_caller_data: whether exceptions are logged with their text.
        context: makes what stands behind a call; by default that of a call made by hand.
    """

    def __init__(
        self,
        fallback: Fallback,
        *,
        fallbacks: Mapping[str, Fallback] | None = None,
        margin: float = MARGIN,
        threads: int = 32,
        log_caller_data: bool = False,
        context: MakeContext | None = None,
    ) -> None:
        self._fallback = fallback
        self._fallbacks = fallbacks or {}
        self._least_margin = margin
        self._margins: dict[str, Margin] = {}
        self._runs = Runs(threads)
        self._repeats = Repeats()
        self._log_caller_data = log_caller_data
        self._context = context

    def deadline(self, action: Action, arrived: float) -> float:
        """When the answer to a request that ``arrived`` then must be ready (the loop's time)."""
        return arrived + action.request_timeout - self._margin(action).of(action.request_timeout)

    def charge(
        self,
        action: Action,
        arrived: float,
        spent: float,
        round_trip: Callable[[], float] = lambda: 0.0,
    ) -> float:
        """When a callback began that ``arrived`` after the PBX had ``spent`` seconds on it.

        What it ``spent``, or else now and then a ``round_trip`` in seconds, teaches the margin; not
        where anybody may ask, and could make us give up early by being slow.

        Never is more than half of its time charged: the clock of the machine that began it may be
        another than that of this one.
        """
        margin = self._margin(action)
        if not 0 < spent < action.request_timeout:
            if action.auth and margin.wants(arrived):
                margin.learn(round_trip())
            return arrived
        margin.learn(spent)
        return arrived - min(spent, (action.request_timeout - margin.of(2)) / 2)

    def has_fixed_fallback(self, action: Action) -> bool:
        """Whether what it falls back on is the same for all calls."""
        return not any(map(callable, self._ladder(action)))

    def fallback(self, action: Action, reason: Reason, call: Call | None = None) -> Decision:
        """What is answered when the handler cannot be asked, or gave no answer."""
        reply, broken = descend(self._ladder(action), call or Call())
        for problem in broken:
            log.error("%s: %s", action.identity, problem)
        return Decision(reply, reason)

    async def decide(self, action: Action, call: Call, due: float, loop: Loop) -> Decision:
        """Ask the action's handler, and give its reply or a fallback before the deadline.

        Parameters:
            due: the `deadline`.
            loop: the one that is running; to ask which one that is costs a system call.
        """
        who = _who(action, call)
        if due <= loop.time():
            log.error("%s was not asked: the request came too late", action.identity)
            decision = self.fallback(action, "late", call)
        elif isinstance(run := self._begin(action, call, who, due, loop), str):
            log.error("%s shed: %s", action.identity, run)
            decision = self.fallback(action, "shed", call)
        else:
            decision = self._judge(run) if run.begun.done() else await self._await(run, who, loop)
        return decision if who is None else self._guard(action, call, who, decision, loop.time)

    async def close(self) -> None:
        """Cancel what still runs and wait for it to end; threads that are stuck are left."""
        await self._runs.close()

    def _ladder(self, action: Action) -> tuple[Fallback | None, ...]:
        of_pbx = self._fallbacks.get(action.pbx, self._fallback)
        return action.fallback, action.ivr_fallback, of_pbx

    def _margin(self, action: Action) -> Margin:
        if action.pbx not in self._margins:
            self._margins[action.pbx] = Margin(self._least_margin)
        return self._margins[action.pbx]

    async def _await(self, run: Run, who: Hashable, loop: Loop) -> Decision:
        """What becomes of ``run`` until its deadline."""
        action = run.action
        keep = False
        try:
            await run.wait(loop)
            keep = action.late == "hand-over" and not run.begun.done()
        finally:
            if not keep:
                run.cancel()
        if run.begun.done():
            return self._judge(run)
        if keep and who is not None:
            self._runs.hand_over((action.identity, who), run)
            log.warning("%s is late: the caller hears the prompt again", action.identity)
            return Decision(Repeat(), "handed over", run.call.context.release)
        run.cancel()
        run.report_late(loop.time)
        return self._fall_back(run, "late")

    def _begin(
        self,
        action: Action,
        call: Call,
        who: Hashable,
        due: float,
        loop: Loop,
    ) -> Run | str:
        """The run that gives the answer, or why there is none."""
        key = action.identity, who
        if action.late == "hand-over" and (run := self._runs.take_over(key)) is not None:
            run.deadline.due = due
            return run
        if self._runs.is_full(action):
            return f"{action.at_once} calls are with it at once"
        deadline = Deadline(due)
        if self._context is not None:
            call = call.backed(self._context(action, call, deadline, loop))
        try:
            return self._runs.start(action, call, deadline, loop)
        except Full:
            return "all threads for plain handlers are busy"

    def _judge(self, run: Run) -> Decision:
        action = run.action
        try:
            result = run.begun.result()
        except asyncio.CancelledError:
            log.error("%s raised CancelledError", action.identity)
            return self._fall_back(run, "raised")
        if isinstance(result, Reply):
            return Decision(result, "handled", run.call.context.release)
        if isinstance(result, Failed):
            return self._judge_failure(run, result.error)
        kind = type(result).__name__
        log.error("%s returned %s, not Forward(…), Hangup() or Repeat()", action.identity, kind)
        return self._fall_back(run, "invalid")

    def _judge_failure(self, run: Run, error: BaseException) -> Decision:
        if isinstance(error, Unavailable):
            log.error("%s: %s", run.action.identity, error)
            return self._fall_back(run, "broken")
        text = describe(error, with_text=self._log_caller_data and not run.action.sensitive)
        log.error("%s raised %s", run.action.identity, text)
        return self._fall_back(run, "raised")

    def _fall_back(self, run: Run, reason: Reason) -> Decision:
        """What is answered instead; what was asked for after the answer is done all the same."""
        instead = self.fallback(run.action, reason, run.call)
        return replace(instead, release=run.call.context.release)

    def _guard(
        self,
        action: Action,
        call: Call,
        who: Hashable,
        decision: Decision,
        clock: Callable[[], float],
    ) -> Decision:
        """End a loop: ``who`` tells how often this call was told to repeat."""
        if not isinstance(decision.reply, Repeat):
            self._repeats.end(who)
            return decision
        times = self._repeats.count(who, clock())
        if times <= action.repeats:
            return decision
        log.warning("%s: told to repeat %d times in a row", action.identity, times)
        looped = self.fallback(action, "looped", call)
        if not isinstance(looped.reply, Repeat):
            self._repeats.end(who)
        return replace(looped, release=decision.release)


def _who(action: Action, call: Call) -> Hashable | None:
    """What tells this call from others; None if nothing does."""
    if call.session_id:
        return action.pbx, call.session_id
    return (action.pbx, call.ivr, call.caller) if call.caller else None
