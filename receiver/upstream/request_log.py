"""The requests of a callback and their answers, kept for its recording.

Rule 1: A log is bounded: `MAX_REQUESTS`, and `MAX_OCTETS` of bodies. A longer body is left out.
Rule 2: Nothing is masked here: a log does not leave the process before `receiver.recording` has
        masked it.
"""

from __future__ import annotations

from receiver.upstream.request_observer import RequestObserver, UpstreamRequest

MAX_REQUESTS = 20
"""Requests of one callback that are kept."""

MAX_OCTETS = 32 * 1024
"""Octets of all bodies of one callback."""


class RequestLog(RequestObserver):
    """Keeps the requests of one callback, or of a fetch that callbacks share.

    Attributes:
        requests: in their order.
    """

    def __init__(self) -> None:
        self.requests: list[UpstreamRequest] = []
        self._octets = 0

    def record(self, request: UpstreamRequest) -> None:
        if request.source == "cache" or len(self.requests) >= MAX_REQUESTS:
            return
        size = len(request.body or b"")
        if self._octets + size > MAX_OCTETS:
            request = request._replace(body=None)
        else:
            self._octets += size
        self.requests.append(request)

    def of_fetch(self) -> RequestObserver:
        return RequestLog()

    def share(self, fetch: RequestObserver) -> None:
        if isinstance(fetch, RequestLog):
            for request in tuple(fetch.requests):
                if not any(request is known for known in self.requests):
                    self.record(request)
