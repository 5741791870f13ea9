"""Answers of other services from a recording, for the calls that are replayed.

Rule 1: a request gets the recorded answer of the same callback, or else of the same call, that has
        its method, host and path; one after the other, and then the last one repeatedly. A
        callback may get the result of a request that the previous callback started.
Rule 2: a request of `receiver.upstream.Client` is never sent. One without a recorded answer fails,
        as while the service is unavailable, and is counted. Those of other httpx clients, which
        are not recorded, are sent: into a blocked network, or to a fake in the process.
Rule 3: an access token (OAuth 2) is generated: the real one is not recorded.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator, Sequence

import httpx

from receiver.calls import Call
from receiver.errors import UpstreamError, UpstreamLate, UpstreamRefused
from receiver.recording.format import Recorded, UpstreamAnswer
from receiver.recording.upstream_answers import resolved
from receiver.testing.block_network import Attempts
from receiver.upstream.request_observer import RequestObserver, Sender

_TOKEN = {"access_token": "replayed", "token_type": "Bearer", "expires_in": 3600}


class Playback(RequestObserver):
    """Plays back the answers of one call. Each callback gets its own: caches are not used.

    Parameters:
        records: the callbacks of the call.
        attempts: counts requests without an answer.

    Attributes:
        played: the number of answers that were played back.
    """

    uses_cache = False

    def __init__(self, records: Sequence[Recorded], attempts: Attempts) -> None:
        self._of_call = [answer for record in records for answer in record.upstream]
        self._attempts = attempts
        self._call = Call()
        self._left: list[UpstreamAnswer] = []
        self._used: list[UpstreamAnswer] = []
        self.played = 0

    def begin(self, record: Recorded, call: Call) -> None:
        """Play back the answers of ``record``, with the caller data of the replayed ``call``."""
        self._call = call
        self._left = list(record.upstream)

    def intercept(self, request: httpx.Request, sender: Sender) -> httpx.Response | float:
        """Return the recorded answer.

        Raises:
            UpstreamError, httpx.TransportError: no answer was recorded, or the request failed.
        """
        found = self._find(request)
        if found is None and _wants_token(request):
            return httpx.Response(200, stream=_Stream(httpx.Response(200, json=_TOKEN).content))
        if found is None and not sender:
            return 0.0
        if found is None or found.left_out:
            self._attempts.count += 1
            why = "is not recorded" if found is None else "is recorded without its body"
            raise _failure(request, sender, f"the answer {why}")
        self.played += 1
        if found.status is None:
            raise _failure(request, sender, "there was no answer", is_late=found.is_late)
        body = resolved(found.body, self._call)
        if sender and not 200 <= found.status < 300:  # raised here, it opens no circuit
            raise UpstreamRefused(
                f"{request.url.host} answered {found.status}",
                status=found.status,
                retry_after=found.retry_after,
                body=body,
            )
        headers = {"Content-Type": "application/json"} if body else {}
        if found.retry_after is not None:
            headers["Retry-After"] = f"{found.retry_after:g}"
        return httpx.Response(found.status, headers=headers, stream=_Stream(body))

    def _find(self, request: httpx.Request) -> UpstreamAnswer | None:
        for answers in (self._left, self._used[::-1], self._of_call):
            found = next((one for one in answers if _fits(one, request)), None)
            if found is not None:
                if answers is self._left:
                    self._left.remove(found)
                    self._used.append(found)
                return found
        return None


class _Stream(httpx.AsyncByteStream, httpx.SyncByteStream):
    """A body that was not read yet, as one from the network."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    def __iter__(self) -> Iterator[bytes]:
        yield self._body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body


def _fits(answer: UpstreamAnswer, request: httpx.Request) -> bool:
    url = request.url
    if (answer.method, answer.host) != (request.method, url.netloc.decode("ascii")):
        return False
    recorded, requested = answer.path.split("/"), url.path.split("/")
    return len(recorded) == len(requested) and all(
        one in ("*", other) for one, other in zip(recorded, requested, strict=True)
    )


def _wants_token(request: httpx.Request) -> bool:
    """Return whether a request is one for an access token (RFC 6749)."""
    try:
        return request.method == "POST" and b"grant_type=" in request.content
    except httpx.RequestNotRead:
        return False


def _failure(
    request: httpx.Request, sender: Sender, text: str, *, is_late: bool = False
) -> Exception:
    """Return the exception that the sender of a failed request raises."""
    if sender:
        kind = UpstreamLate if is_late else UpstreamError
        return kind(f"{request.url.host}: {text}")
    error = httpx.ReadTimeout if is_late else httpx.ConnectError
    return error(text, request=request)
