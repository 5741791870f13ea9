"""Publishes the callbacks of a worker to the console in production.

Rule 1: answered callbacks and events are sent from a thread, in datagrams, masked as in a recording
        (`receiver.recording.masking`). No callback waits for the console; those that it does not
        read in time are dropped, and their number is reported.
Rule 2: a destination that the declarations name is not masked, except for sensitive actions: the
        call flow shows these destinations.
Rule 3: datagrams are self-contained; all workers send into one socket, which they inherit.
"""

from __future__ import annotations

import logging
import os
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping

import msgspec
from msgspec import Struct, structs

from receiver.credentials import Secret, derive_key
from receiver.declarations.actions import Action
from receiver.declarations.call_events import CallEvent
from receiver.declarations.fallbacks import Fallback
from receiver.declarations.introspection import declared
from receiver.recording.collector import Answered, Collector
from receiver.recording.format import Recorded
from receiver.recording.masking import Masker

MAX_WAITING = 2000
"""Callbacks and events that may wait to be sent."""

BATCH = 20
"""Callbacks and events in one datagram."""

SEND_TIMEOUT = 1.0
"""Seconds in which the console must read a datagram."""

MAX_BYTES = 1024 * 1024
"""Bytes of a datagram, and of all waiting ones."""

log = logging.getLogger("receiver")


class PublishedCallback(Struct, frozen=True, array_like=True):
    """One callback.

    Attributes:
        record: the masked record.
        arrived: seconds since the epoch.
        authentication, body: seconds of these stages.
        budget: seconds that the PBX waits.
    """

    record: Recorded
    arrived: float
    authentication: float
    body: float
    budget: float


class PublishedEvent(Struct, frozen=True, array_like=True):
    """An event of a call.

    Attributes:
        session: the value that replaces the session id, as in a recording.
        kind: see `receiver.declarations.call_events.EventKind`.
        when: it came, in seconds since the epoch.
        target: the number of the target or of the person who answered, masked; empty for none.
        missed: whether the call was missed.
        talk: seconds that the person talked; None if it is not known.
    """

    session: str
    kind: str
    when: float
    target: str = ""
    missed: bool = False
    talk: float | None = None


class Message(Struct, frozen=True, array_like=True):
    """A datagram of one worker.

    Attributes:
        worker: its process id.
        callbacks: that it answered.
        lost: the number of callbacks and events before these that were dropped.
        events: of calls that came.
    """

    worker: int
    callbacks: tuple[PublishedCallback, ...]
    lost: int = 0
    events: tuple[PublishedEvent, ...] = ()


_encode = msgspec.msgpack.Encoder().encode
_decode: Callable[[bytes], Message] = msgspec.msgpack.Decoder(Message).decode


def make_sockets() -> tuple[socket.socket, socket.socket]:
    """Return the socket for the workers and the one for the console."""
    workers, console = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    workers.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, MAX_BYTES)
    return workers, console


def read(console: socket.socket) -> Iterator[Message]:
    """Yield the messages that can be read now; other datagrams are ignored."""
    while True:
        try:
            yield _decode(console.recv(MAX_BYTES))
        except BlockingIOError:
            return
        except msgspec.MsgspecError:
            continue


class Publisher(Collector):
    """Publishes the callbacks of an app.

    Parameters:
        end: the socket, see `make_sockets`.
        secret: of the service.
        actions: all actions of the app.
        fallbacks: of the app, by the label of a PBX.
        caller_data: whether digits, numbers and names are shown, except for sensitive actions.
        clock: seconds since the epoch.
        send_timeout: seconds in which the console must read a datagram.
        max_waiting: callbacks and events that may wait to be sent.
    """

    def __init__(
        self,
        end: socket.socket,
        secret: Secret,
        actions: Iterable[Action],
        fallbacks: Mapping[str, Fallback],
        *,
        caller_data: bool = False,
        clock: Callable[[], float] = time.time,
        send_timeout: float = SEND_TIMEOUT,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        end.settimeout(send_timeout)
        self._end = end
        key = derive_key(secret, "console", "alias")
        actions = tuple(actions)
        self._masker = Masker(key, actions, caller_data=caller_data)
        self._named = {
            identity: frozenset((*one.names, *one.fallback))
            for identity, one in declared(actions, fallbacks).items()
        }
        super().__init__(
            self._write,
            lost=lambda count: None,
            max_waiting=max_waiting,
            name="receiver-console",
            clock=clock,
        )

    def event(self, event: CallEvent) -> None:
        """Publish an event of a call with a session id."""
        if not event.session_id or event.kind == "call_missed":  # call_ended has it, too
            return
        person = event.answered_by if event.kind == "call_ended" else event.target
        self._writer.put(
            PublishedEvent(
                self._masker.session(event.pbx, event.session_id),
                event.kind,
                self._clock(),
                self._masker.number(event.pbx, person.number) if person and person.number else "",
                event.kind == "call_ended" and event.missed,
                person.talk_duration if person else None,
            )
        )

    def close(self) -> None:
        """Send the remaining callbacks and events, and close the socket."""
        super().close()
        self._end.close()

    def _write(self, items: list[Answered | PublishedEvent], lost: int) -> int:
        left = len(items)
        for first in range(0, len(items), BATCH):
            batch = items[first : first + BATCH]
            callbacks = tuple(self._published(one) for one in batch if isinstance(one, Answered))
            events = tuple(one for one in batch if isinstance(one, PublishedEvent))
            try:
                self._end.send(_encode(Message(os.getpid(), callbacks, lost, events)))
            except OSError:  # not read in time, or closed: drop the rest
                return left
            left -= len(batch)
            lost = 0
        return 0

    def _published(self, answered: Answered) -> PublishedCallback:
        times, record = answered.times, answered.masked(self._masker)
        reply, action = answered.decision.reply, answered.action
        if reply.target and reply.words in self._named[record.action] and not action.sensitive:
            record = structs.replace(record, destination=reply.target)
        return PublishedCallback(
            record,
            answered.when - (times.answered - times.arrived),
            round(times.authenticated - times.arrived, 6),
            round(times.read - times.authenticated, 6),
            float(action.request_timeout),
        )
