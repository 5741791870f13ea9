"""Run a handler within its deadline; there is always a reply.

Rule 1: the deadline is the registered ``request_timeout`` less a margin for the network, from the
        arrival of the request (with digest, of the first of the two requests).
Rule 2: a handler that is late, raises, returns no reply or cannot start gets the fallback.
Rule 3: a late handler is cancelled, watched if it cannot be cancelled, or continued for the call's
        next callback if the action allows that.
Rule 4: no call repeats the prompt more often in a row than the action allows. Callbacks of CALLER
        actions are counted separately: there a repeat continues to the prompt.
Rule 5: an exception of a handler is logged by the rules of `receiver.execution.guarded_call`.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable, Mapping
from queue import Full
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from receiver.call_context import UNBACKED, Context, Deadline
from receiver.calls import Call, set_context
from receiver.declarations.actions import Action
from receiver.declarations.fallbacks import Fallback, first_reply
from receiver.dispatch.handler_run import Run, Runs
from receiver.dispatch.latency_margin import Margin
from receiver.dispatch.repeat_guard import Repeats
from receiver.errors import Unavailable
from receiver.execution.guarded_call import Failed, call_now, describe
from receiver.replies import Repeat, Reply, is_reply
from receiver.text import counted

MARGIN = 0.5
"""Seconds of the PBX's ``request_timeout`` that are kept for the network."""

Reason = Literal["handled", "late", "raised", "invalid", "shed", "broken", "looped", "continued"]
"""The reason of a reply; all but the first mean the fallback, or a repeat of the prompt:

- late, raised, invalid: the handler (or its request) was late, raised, or returned no reply.
- shed: the handler was not called, because it runs for too many calls already.
- broken: what it needs is unavailable (`receiver.errors.Unavailable`).
- looped: the handler repeated the prompt too often.
- continued: the handler still runs; its reply is for the next callback of the call.
"""

log = logging.getLogger("receiver")

Loop = asyncio.AbstractEventLoop

MakeContext = Callable[[Action, Call, Deadline, Loop], Context]
"""Makes the context of a call that is dispatched in the running event loop."""


class Decision(Struct, frozen=True, eq=False, gc=False):
    """A reply and why it is given.

    Attributes:
        release: to be called once the answer is sent.
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
    """Runs the handlers of an app.

    Parameters:
        fallback: of the app, for actions and IVRs without one.
        fallbacks: by the label of a PBX, fallbacks that replace ``fallback`` there.
        margin: seconds, see `MARGIN`.
        threads: the most plain handlers that run at the same time.
        runs: the running handlers; by default new ones with ``threads``.
        log_caller_data: whether exceptions are logged with their text.
        context: makes the context of a call; by default calls have none.
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
        runs: Runs | None = None,
    ) -> None:
        self._fallback = fallback
        self._fallbacks = fallbacks or {}
        self._least_margin = margin
        self._margins: dict[str, Margin] = {}
        self._runs = runs or Runs(threads)
        self._repeats = Repeats()
        self._log_caller_data = log_caller_data
        self._context = context

    def deadline(self, action: Action, arrived: float) -> float:
        """Return the deadline of a request that arrived at ``arrived``, in loop time."""
        return arrived + action.request_timeout - self.margin(action).of(action.request_timeout)

    def charge(self, action: Action, arrived: float, spent: float) -> float:
        """Return when the PBX began a callback, ``spent`` seconds before it ``arrived``.

        ``spent`` adjusts the margin. At most half of the callback's time is charged, because the
        first request of digest may have been answered by a machine with another clock.
        """
        if not 0 < spent < action.request_timeout:
            return arrived
        margin = self.margin(action)
        margin.learn(spent)
        return arrived - min(spent, (action.request_timeout - margin.of(2)) / 2)

    def fixed_fallback(self, action: Action) -> Reply:
        """Return the first fallback of ``action`` that no call determines, or `Repeat`."""
        return first_reply(filter(is_reply, self._fallbacks_of(action)), Call())[0]

    def has_fixed_fallback(self, action: Action) -> bool:
        """Return whether the fallback of ``action`` is the same for all calls."""
        return not any(map(callable, self._fallbacks_of(action)))

    def fallback(self, action: Action, reason: Reason, call: Call | None = None) -> Decision:
        """Return the fallback for a callback whose handler was not run or gave no reply."""
        reply, broken = first_reply(self._fallbacks_of(action), call or Call())
        for problem in broken:
            log.error("%s: %s", action.identity, problem)
        return Decision(reply, reason)

    async def decide(self, action: Action, call: Call, due: float, loop: Loop) -> Decision:
        """Run the action's handler; return its reply, or the fallback, before the deadline.

        Parameters:
            due: the `deadline`.
            loop: the running event loop; `asyncio.get_running_loop` costs a system call.
        """
        run = self.start(action, call, due, loop)
        if isinstance(run, Decision):
            return run
        await run.wait(loop)
        return self.finish(run, loop)

    def start(self, action: Action, call: Call, due: float, loop: Loop) -> Decision | Run:
        """Call the handler; return the decision, or the run of a handler that waits.

        Parameters:
            call: if its context is `UNBACKED`, it gets one; any other call stays as it is.
            due, loop: as for `decide`.
        """
        if action.finish_key:
            call = call.without_finish_key(action.finish_key)
        if due <= loop.time():
            log.error(
                "%s: handler not called, the request arrived after its deadline", action.identity
            )
            decision = self.fallback(action, "late", call)
        elif isinstance(run := self._begin(action, call, due, loop), Decision):
            decision = run
        elif isinstance(run, str):
            log.error("%s shed: %s", action.identity, run)
            decision = self.fallback(action, "shed", call)
        elif run.begun.done():
            decision = self._judge(run)
        else:
            return run
        if self._repeats or isinstance(decision.reply, Repeat):
            decision = self._guard(action, call, decision, loop)
        return decision

    def finish(self, run: Run, loop: Loop) -> Decision:
        """Return the decision for ``run``, whose handler has ended or whose deadline is over."""
        action, call = run.action, run.call
        if run.begun.done():
            decision = self._judge(run)
        elif run.is_cancelled:
            log.error("%s: its request was cancelled", action.identity)
            decision = self._fall_back(run, "raised")
        elif action.on_timeout == "continue" and (who := _who(action, call)) is not None:
            self._runs.hand_over((action.identity, who), run)
            log.warning("%s is late: the caller hears the prompt again", action.identity)
            decision = Decision(Repeat(), "continued", call.context.release)
        else:
            run.cancel()
            run.report_late(loop.time)
            decision = self._fall_back(run, "late")
        return self._guard(action, call, decision, loop)

    def margin(self, action: Action) -> Margin:
        """Return the action's latency margin, see `receiver.dispatch.latency_margin`."""
        if action.pbx not in self._margins:
            self._margins[action.pbx] = Margin(self._least_margin)
        return self._margins[action.pbx]

    async def close(self) -> None:
        """Cancel the running handlers and wait for their end; blocked threads are left."""
        await self._runs.close()

    def _fallbacks_of(self, action: Action) -> tuple[Fallback | None, ...]:
        of_pbx = self._fallbacks.get(action.pbx, self._fallback)
        return action.fallback, action.ivr_fallback, of_pbx

    def _begin(self, action: Action, call: Call, due: float, loop: Loop) -> Decision | Run | str:
        """Return the decision, or the run that gives it, or the reason why there is neither."""
        if action.on_timeout == "continue":
            run = self._runs.take_over((action.identity, _who(action, call)))
            if run is not None:
                run.deadline.due = due
                return run
        if action.max_concurrency and self._runs.is_full(action):
            return f"max_concurrency={action.max_concurrency} is reached"
        deadline = Deadline(due)
        if self._context is not None:
            context = self._context(action, call, deadline, loop)
            if call.context is UNBACKED:
                set_context(call, context)
            else:
                call = call.backed(context)
        if action.manner == "at once":
            result = call_now(action.handler, call)
            if is_reply(result):
                return Decision(result, "handled", call.context.release)
            return self._runs.settled(action, call, deadline, loop, result)
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
        if is_reply(result):
            return Decision(result, "handled", run.call.context.release)
        if isinstance(result, Failed):
            return self._judge_failure(run, result.error)
        kind, hint = type(result).__name__, ""
        if result is None:
            kind, hint = "None", ": is a return missing?"
        log.error(
            "%s returned %s, not Forward(…), Hangup() or Repeat()%s", action.identity, kind, hint
        )
        return self._fall_back(run, "invalid")

    def _judge_failure(self, run: Run, error: BaseException) -> Decision:
        if isinstance(error, Unavailable):
            log.error("%s: %s", run.action.identity, error)
            return self._fall_back(run, "broken")
        text = describe(error, with_text=self._log_caller_data and not run.action.sensitive)
        log.error("%s raised %s", run.action.identity, text)
        return self._fall_back(run, "raised")

    def _fall_back(self, run: Run, reason: Reason) -> Decision:
        """Return the fallback; background jobs that the handler queued still run."""
        instead = self.fallback(run.action, reason, run.call)
        return replace(instead, release=run.call.context.release)

    def _guard(self, action: Action, call: Call, decision: Decision, loop: Loop) -> Decision:
        """Replace the reply if it would repeat the prompt too often."""
        who = _who(action, call)
        if who is None:
            return decision
        if not isinstance(decision.reply, Repeat):
            self._repeats.end(who)
            return decision
        times = self._repeats.count(who, loop.time())
        if times <= action.max_repeats:
            return decision
        log.warning("%s: repeated %s in a row", action.identity, counted(times, "time"))
        looped = self.fallback(action, "looped", call)
        if not isinstance(looped.reply, Repeat):
            self._repeats.end(who)
        return replace(looped, release=decision.release)


def _who(action: Action, call: Call) -> Hashable | None:
    """Return what identifies the call and the kind of its callbacks; None if nothing does."""
    if call.session_id:
        return action.pbx, action.kind, call.session_id
    return None if call.anonymous else (action.pbx, action.kind, call.ivr, call.caller)
