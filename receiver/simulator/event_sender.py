"""Send the events of a tenant to its event URL, as the PBX does.

Rule 1: POST with JSON; 200 is the acknowledgement, 404 ends the attempts, and after anything else
        the event is sent again after each of `RETRIES`.
Rule 2: at least once and in any order: `EventFaults` repeats events and mixes them up.
Rule 3: nothing sleeps but the ``sleep`` that is passed in.

Source: "Receive webhooks" of the vendor's webhook notifications. It calls the waits "15 minutes, 5
times", and they add up to 27.
"""

from __future__ import annotations

import asyncio
import json
import random
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from itertools import chain
from typing import cast

import httpx

from receiver.pbx.callback_request import Outgoing, answer_challenge, first_leg, make_post
from receiver.pbx.models import ActionUrl, read
from receiver.pbx.models_events import EventUrl
from receiver.simulator.call import PhoneCall
from receiver.simulator.event_records import CallEnd, EventRecords, Json

RETRIES = (15.0, 60.0, 180.0, 480.0, 900.0)
"""Seconds before each further attempt."""

TIMEOUT = 10.0
"""Seconds for one attempt; not documented."""


@dataclass(frozen=True, slots=True)
class EventFaults:
    """Faults on the way of events; by default no fault. ::

        await phone.end(call, faults=EventFaults(copies=2, shuffled=True))

    Attributes:
        copies: how often each event is sent, though it is acknowledged.
        shuffled: whether the order is another one than that of the call.
        lost: how many acknowledgements of an event do not arrive.
    """

    copies: int = 1
    shuffled: bool = False
    lost: int = 0


@dataclass(frozen=True, slots=True)
class EventDelivery:
    """One event, and the statuses of its attempts; 0 for no answer."""

    record: Json = field(repr=False)
    statuses: tuple[int, ...]

    @property
    def acknowledged(self) -> bool:
        """Whether the last attempt was acknowledged."""
        return self.statuses[-1:] == (200,)


class EventSender:
    """Sends events.

    Parameters:
        url: returns the tenant's setting ``cdr_event`` as it is stored; None for none.
        transport: sends the requests; it is not closed. None for a new connection for each.
        sleep: waits before another attempt, in seconds.
        shuffle: puts a list into another order.

    Attributes:
        faults: may be set at any time.
    """

    def __init__(
        self,
        url: Callable[[], Json | None],
        transport: httpx.AsyncBaseTransport | None = None,
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        shuffle: Callable[[list[Json]], None] = random.shuffle,
    ) -> None:
        self._url = url
        self._transport = transport
        self._sleep = sleep
        self._shuffle = shuffle
        self.faults = EventFaults()

    async def send(self, records: Sequence[Json]) -> list[EventDelivery]:
        """Send events, each to its end; return what became of them.

        Empty if the tenant has no event URL, or it is switched off.
        """
        target = self._target()
        if target is None:
            return []
        events = [one for one in records for _ in range(self.faults.copies)]
        if self.faults.shuffled:
            self._shuffle(events)
        return [await self._deliver(target, one) for one in events]

    async def report(self, call: PhoneCall, end: CallEnd, today: float) -> list[EventDelivery]:
        """Report a call whose part in the IVR has ended.

        Parameters:
            call: the call.
            end: what happened after the IVR.
            today: the time in seconds since the epoch.
        """
        records = EventRecords(call.call, today - call.in_ivr)
        moments = records.after_ivr(call.in_ivr, call.forwarded_to or "", end)
        later = chain.from_iterable(events for _, events in moments)
        return await self.send([*records.arrived(), *later])

    def _target(self) -> ActionUrl | None:
        found = read(EventUrl, self._url() or {})
        if not (found.enabled and found.url):
            return None
        return ActionUrl(
            url=found.url,
            method="POST",
            auth=found.auth,
            username=found.username,
            password=found.password,
            token=found.token,
        )

    async def _deliver(self, target: ActionUrl, record: Json) -> EventDelivery:
        body = json.dumps(record, ensure_ascii=False).encode("utf-8", "replace")
        statuses, lost = list[int](), self.faults.lost
        for wait in (*RETRIES, None):
            try:
                async with asyncio.timeout(TIMEOUT), self._connected() as transport:
                    status = await _attempt(transport, target, body)
            except (httpx.TransportError, httpx.InvalidURL, TimeoutError):
                status = 0
            if lost:
                status, lost = 0, lost - 1
            statuses.append(status)
            if status in (200, 404) or wait is None:
                break
            await self._sleep(wait)
        return EventDelivery(record, tuple(statuses))

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[httpx.AsyncBaseTransport]:
        if self._transport is not None:
            yield self._transport
        else:
            async with httpx.AsyncHTTPTransport(trust_env=False) as transport:
                yield transport


async def events_of(
    call: PhoneCall,
    end: CallEnd,
    begun: float,
    sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
) -> AsyncIterator[list[Json]]:
    """Yield the events of a call when they happen; begin when it has arrived.

    Parameters:
        call: the call.
        end: what happens after the IVR.
        begun: when the call arrived, in seconds since the epoch.
        sleep: waits, in seconds, while the destination rings and talks.
    """
    records = EventRecords(call.call, begun)
    yield records.arrived()
    await call.until_ended()
    for seconds, events in records.after_ivr(call.in_ivr, call.forwarded_to or "", end):
        await sleep(seconds)
        yield events


async def no_wait(seconds: float) -> None:
    """Return immediately: the time is simulated."""


def reported(events: Sequence[Json]) -> str:
    """Return the types of events as text."""
    return f"the PBX reports {', '.join(str(one['event_type']) for one in events)}"


async def _attempt(transport: httpx.AsyncBaseTransport, target: ActionUrl, body: bytes) -> int:
    """Return the status of the answer; with Digest that of the second request."""
    request = make_post(target, body)
    if target.auth != "DIGEST":
        return (await _request(transport, request))[0]
    status, challenges = await _request(transport, first_leg(request))
    if status != 401:
        return status
    path = httpx.URL(target.url).raw_path.decode("ascii")
    second = answer_challenge(target, request, path, challenges, secrets.token_hex(8))
    return status if second is None else (await _request(transport, second))[0]


async def _request(
    transport: httpx.AsyncBaseTransport, outgoing: Outgoing
) -> tuple[int, list[str]]:
    """Return the status, and the challenges."""
    request = httpx.Request(
        outgoing.method, outgoing.url, headers=list(outgoing.headers), content=outgoing.body
    )
    async with aclosing(await transport.handle_async_request(request)) as response:
        async for _ in cast("httpx.AsyncByteStream", response.stream):
            pass
        return response.status_code, response.headers.get_list("www-authenticate")
