"""The console's state, its events, and the viewers that receive them.

Rule 1: publishing never waits: a viewer has a bounded queue, and is dropped when it is full. It may
        connect again, and reloads everything if it missed too many events.
Rule 2: everything is bounded: the calls, the steps of each, the events for viewers that reconnect.
Rule 3: values that are passed in are not changed afterwards. An event is encoded once, when the
        first viewer reads it.

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

MAX_CALLS = 10_000
"""Calls that are kept."""

MAX_STEPS = 1000
"""Steps of one call that are kept."""

MAX_BACKLOG = 2000
"""Events that are kept for viewers that reconnect."""

MAX_QUEUE = 1000
"""Events that may wait for a viewer before it is dropped."""

RESET: Json = {"type": "reset"}


class Event:
    """One event: its number ``seq``, and its ``data``."""

    def __init__(self, seq: int, data: Json) -> None:
        self.seq = seq
        self.data = data

    @cached_property
    def encoded(self) -> bytes:
        """The event as a message of ``text/event-stream``."""
        return b"id: %d\ndata: %b\n\n" % (self.seq, msgspec.json.encode(self.data))


class Viewer:
    """A queue of events for one connection, until it is full or the feed ends."""

    def __init__(self, events: Iterable[Event], max_events: int) -> None:
        self._queue = deque(events)
        self._max_events = max_events
        self._wake = asyncio.Event()
        self._wake.set()
        self.dropped = False

    def put(self, event: Event) -> bool:
        """Add ``event``; return False if the queue is full, which drops the viewer."""
        if len(self._queue) >= self._max_events:
            self.drop()
            return False
        self._queue.append(event)
        self._wake.set()
        return True

    def drop(self) -> None:
        """End the viewer."""
        self.dropped = True
        self._queue.clear()
        self._wake.set()

    async def next(self, seconds: float) -> bytes | None:
        """Return the waiting events; empty after ``seconds`` without one, None at the end."""
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            return b""
        if self.dropped:
            return None
        found = b"".join(event.encoded for event in self._queue)
        self._queue.clear()
        self._wake.clear()
        return found


class Feed:
    """The calls, the events, and the viewers.

    Parameters:
        parts: the parts of the state apart from calls, such as ``mode`` and ``title``.
        max_calls, max_steps, backlog, queue: see the constants above.
        start: the number before that of the first event. With a number above those of the last
            process, such as the time, viewers of the last process reload everything.
    """

    def __init__(
        self,
        parts: Json,
        *,
        max_calls: int = MAX_CALLS,
        max_steps: int = MAX_STEPS,
        backlog: int = MAX_BACKLOG,
        queue: int = MAX_QUEUE,
        start: int = 0,
    ) -> None:
        self._parts = dict(parts)
        self._max_calls = max_calls
        self._max_steps = max_steps
        self._queue = queue
        self._events: deque[Event] = deque(maxlen=backlog)
        self._viewers: set[Viewer] = set()
        self._calls: OrderedDict[str, Json] = OrderedDict()
        self._now: dict[str, Json] = {}
        self._steps: dict[str, list[Json]] = {}
        self._closed = False
        self.seq = start

    # Writing -----------------------------------------------------------------------------------
    def publish(self, data: Json) -> None:
        """Send an event to all viewers."""
        self.seq += 1
        event = Event(self.seq, data)
        self._events.append(event)
        self._viewers = {viewer for viewer in self._viewers if viewer.put(event)}

    def set(self, part: str, value: Any) -> None:
        """Set a part of the state, such as ``service``; publish it if it changed."""
        if self._parts.get(part) != value:
            self._parts[part] = value
            self.publish({"type": part, part: value})

    def call(self, summary: Json) -> None:
        """Add or replace a call by its ``id``; the oldest is removed when there are too many."""
        key = summary["id"]
        self._calls[key] = summary
        self.publish({"type": "call", "call": summary})
        while len(self._calls) > self._max_calls:
            old, _ = self._calls.popitem(last=False)
            self._now.pop(old, None)
            self._steps.pop(old, None)

    def now(self, key: str, now: Json) -> None:
        """Set what a call does at this moment."""
        if key in self._calls and self._now.get(key) != now:
            self._now[key] = now
            self.publish({"type": "now", "id": key, "now": now})

    def step(self, key: str, index: int, step: Json) -> None:
        """Set the step at ``index`` of a call; the next free index adds one.

        Steps of an unknown call, and those above the limit, are ignored.
        """
        if key not in self._calls or index >= self._max_steps:
            return
        steps = self._steps.setdefault(key, [])
        steps[index : index + 1] = [step]
        self.publish({"type": "step", "id": key, "index": index, "step": step})

    def close(self) -> None:
        """End all viewers; no further one is accepted."""
        self._closed = True
        self.release()

    def release(self) -> None:
        """End all viewers; they may connect again."""
        for viewer in self._viewers:
            viewer.drop()
        self._viewers.clear()

    # Reading -----------------------------------------------------------------------------------
    def state(self, max_calls: int = 200) -> Json:
        """Return the whole state, which a page loads at its start."""
        return {**self._parts, "seq": self.seq, "calls": self.calls(limit=max_calls)}

    def calls(self, before: int | None = None, limit: int = 200) -> list[Json]:
        """Return the newest calls whose ``seq`` is below ``before``, newest first."""
        newest = reversed(self._calls.values())
        fitting = (one for one in newest if before is None or one["seq"] < before)
        return list(islice(fitting, limit))

    def whole(self, key: str) -> Json | None:
        """Return one call with its steps; None if it is unknown."""
        if (summary := self._calls.get(key)) is None:
            return None
        steps = list(self._steps.get(key, ()))
        return {**summary, "now": self._now.get(key), "steps": steps}

    def watch(self, after: int) -> Viewer:
        """Return a viewer of the events after number ``after``."""
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
        """Remove a viewer."""
        self._viewers.discard(viewer)

    @property
    def viewers(self) -> int:
        """The number of viewers."""
        return len(self._viewers)
