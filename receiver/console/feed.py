"""What the console knows, and who looks at it.

Rule 1: whoever writes never waits: a viewer has a bounded queue, and one whose queue is full is
        dropped. It may come again, and is told to begin anew if too much happened meanwhile.
Rule 2: all is bounded: the calls that are remembered, the steps of each, the events that can be
        caught up with.
Rule 3: an event is a value: what is given here is not changed afterwards. It is encoded when the
        first viewer reads it, once for all, and never where nobody looks.

Used within one event loop.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable
from functools import cached_property
from itertools import islice
from typing import Any

import msgspec

Json = dict[str, Any]

MOST_CALLS = 10_000
"""Calls that are remembered."""

MOST_STEPS = 1000
"""Steps that are remembered of one call."""

BACKLOG = 2000
"""Events with which a viewer that comes again can catch up."""

QUEUE = 1000
"""Events that may wait for a viewer; one that is further behind is dropped."""

RESET: Json = {"type": "reset"}


class Event:
    """One event: ``seq`` counts them, ``data`` is what the protocol says."""

    def __init__(self, seq: int, data: Json) -> None:
        self.seq = seq
        self.data = data

    @cached_property
    def encoded(self) -> bytes:
        """As a message of ``text/event-stream``."""
        return b"id: %d\ndata: %b\n\n" % (self.seq, msgspec.json.encode(self.data))


class Viewer:
    """Somebody who looks: a queue of events, until it is full or the feed ends."""

    def __init__(self, events: Iterable[Event], most: int) -> None:
        self._queue = deque(events)
        self._most = most
        self._came = asyncio.Event()
        self._came.set()
        self.dropped = False

    def give(self, event: Event) -> bool:
        """Put ``event`` into the queue; False if it is full, and the viewer out."""
        if len(self._queue) >= self._most:
            self.drop()
            return False
        self._queue.append(event)
        self._came.set()
        return True

    def drop(self) -> None:
        """No event comes any more."""
        self.dropped = True
        self._queue.clear()
        self._came.set()

    async def next(self, patience: float) -> bytes | None:
        """All that waits, encoded; empty if nothing came in so many seconds, None at the end."""
        try:
            async with asyncio.timeout(patience):
                await self._came.wait()
        except TimeoutError:
            return b""
        if self.dropped:
            return None
        found = b"".join(event.encoded for event in self._queue)
        self._queue.clear()
        self._came.clear()
        return found


class Feed:
    """The calls, the events, and the viewers.

    Parameters:
        parts: what ``state`` says besides the calls, such as ``mode`` and ``title``.
        most_calls, most_steps, backlog, queue: see `MOST_CALLS` and what follows it.
        start: the number before that of the first event. A feed that begins at a higher one than
            any before it, such as the time, has the viewers of the one before begin anew.
    """

    def __init__(
        self,
        parts: Json,
        *,
        most_calls: int = MOST_CALLS,
        most_steps: int = MOST_STEPS,
        backlog: int = BACKLOG,
        queue: int = QUEUE,
        start: int = 0,
    ) -> None:
        self._parts = dict(parts)
        self._most_calls = most_calls
        self._most_steps = most_steps
        self._queue = queue
        self._events: deque[Event] = deque(maxlen=backlog)
        self._viewers: set[Viewer] = set()
        self._calls: OrderedDict[str, Json] = OrderedDict()
        self._now: dict[str, Json] = {}
        self._steps: dict[str, list[Json]] = {}
        self._closed = False
        self.seq = start

    # What is written ---------------------------------------------------------------------------
    def publish(self, data: Json) -> None:
        """Tell all viewers of an event."""
        self.seq += 1
        event = Event(self.seq, data)
        self._events.append(event)
        self._viewers = {viewer for viewer in self._viewers if viewer.give(event)}

    def set(self, part: str, value: Any) -> None:
        """Say what a part of ``state`` is now, such as ``service``; tell if it changed."""
        if self._parts.get(part) != value:
            self._parts[part] = value
            self.publish({"type": part, part: value})

    def call(self, summary: Json) -> None:
        """Say what a call is now; its ``id`` tells it from others, the oldest is forgotten."""
        key = summary["id"]
        self._calls[key] = summary
        self.publish({"type": "call", "call": summary})
        while len(self._calls) > self._most_calls:
            old, _ = self._calls.popitem(last=False)
            self._now.pop(old, None)
            self._steps.pop(old, None)

    def now(self, key: str, now: Json) -> None:
        """Say what a call does at this moment."""
        if key in self._calls and self._now.get(key) != now:
            self._now[key] = now
            self.publish({"type": "now", "id": key, "now": now})

    def step(self, key: str, index: int, step: Json) -> None:
        """Say what the step at ``index`` of a call is; the next free index adds one.

        Steps of a call that is forgotten, and more than are remembered, are passed over.
        """
        if key not in self._calls or index >= self._most_steps:
            return
        steps = self._steps.setdefault(key, [])
        steps[index : index + 1] = [step]
        self.publish({"type": "step", "id": key, "index": index, "step": step})

    def close(self) -> None:
        """Let all viewers go; no further one is taken."""
        self._closed = True
        self.release()

    def release(self) -> None:
        """Let all viewers go; they may come again."""
        for viewer in self._viewers:
            viewer.drop()
        self._viewers.clear()

    # What is read ------------------------------------------------------------------------------
    def state(self, most: int = 200) -> Json:
        """All that a page begins with."""
        return {**self._parts, "seq": self.seq, "calls": self.calls(limit=most)}

    def calls(self, before: int | None = None, limit: int = 200) -> list[Json]:
        """The newest calls whose own ``seq`` is below ``before``, newest first."""
        newest = reversed(self._calls.values())
        fitting = (one for one in newest if before is None or one["seq"] < before)
        return list(islice(fitting, limit))

    def whole(self, key: str) -> Json | None:
        """One call with its steps; None if it is forgotten."""
        if (summary := self._calls.get(key)) is None:
            return None
        steps = list(self._steps.get(key, ()))
        return {**summary, "now": self._now.get(key), "steps": steps}

    def watch(self, after: int) -> Viewer:
        """Look at what happens from the event after number ``after`` on."""
        missed = [event for event in self._events if event.seq > after]
        if after > self.seq or after + len(missed) < self.seq or len(missed) > self._queue:
            missed = [Event(self.seq, RESET)]
        viewer = Viewer(missed, max(self._queue, len(missed)))
        if self._closed:
            viewer.drop()
        else:
            self._viewers.add(viewer)
        return viewer

    def leave(self, viewer: Viewer) -> None:
        """This viewer does not look any more."""
        self._viewers.discard(viewer)

    @property
    def viewers(self) -> int:
        """How many look."""
        return len(self._viewers)
