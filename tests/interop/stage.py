"""The receiver on a real socket, and what it saw there."""

from __future__ import annotations

import json
from dataclasses import dataclass

from starlette.types import Message, Receive, Scope, Send

from receiver.auth.digest import parse_parameters
from tests.interop.senders.sent import Scheme, Sent
from tests.support import FIELDS, QUERY, Counted, credentials, make_app


@dataclass(frozen=True, slots=True)
class Seen:
    """A request and its answer.

    Parameters:
        connection: the sender's port.
        length: what the request said that its body has; empty if it did not.
        digest: the parameters of its Digest header, if it had one.
        challenge: the answer's.
    """

    connection: int
    length: str
    digest: dict[str, str]
    status: int
    challenge: str

    def __str__(self) -> str:
        """The status, the count of the nonce, and whether the answer calls the nonce stale."""
        count = f"/{int(self.digest['nc'], 16)}" if self.digest else ""
        return f"{self.status}{count}{' stale' if 'stale=true' in self.challenge else ''}"


class Wire:
    """An app behind an observer of its callbacks."""

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Have another app, which knows nothing of what was sent before."""
        self.handler = Counted()
        self.seen: list[Seen] = []
        self._app = make_app(self.handler)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def listen(message: Message) -> None:
            if message["type"] == "http.response.start":
                asked, answered = (_headers(where) for where in (scope, message))
                scheme, _, rest = asked.get("authorization", "").partition(" ")
                digest = parse_parameters(rest) if scheme == "Digest" else None
                challenge = answered.get("www-authenticate", "")
                length = asked.get("content-length", "")
                port = scope["client"][1]
                self.seen.append(Seen(port, length, digest or {}, message["status"], challenge))
            await send(message)

        await self._app(scope, receive, listen)


def _headers(where: Scope | Message) -> dict[str, str]:
    return {name.decode(): value.decode("latin-1") for name, value in where["headers"]}


@dataclass(frozen=True, slots=True)
class Stage:
    """The service at ``url``, and what was seen on the wire."""

    url: str
    wire: Wire

    @property
    def handler(self) -> Counted:
        return self.wire.handler

    def kept_a_connection(self) -> bool:
        """Whether one was used again after a callback had been answered on it."""
        done = set()
        for seen in self.wire.seen:
            if seen.connection in done:
                return True
            if seen.status == 200:
                done.add(seen.connection)
        return False

    def sent(
        self, method: str, mode: str, identity: str = "", *, times: int = 3, fresh: bool = False
    ) -> Sent:
        """The vendor's documented callback to the action of this mode.

        Parameters:
            identity: of the action whose credentials are used; by default that of the same.
        """
        name = f"{method.lower()}-{mode}"
        known = credentials(identity or f"888/{name}")
        scheme: dict[str, Scheme] = {"bearer": "bearer", "basic": "basic", "open": "open"}
        return Sent(
            method,
            f"{self.url}/action/888/{name}" + (f"?{QUERY}" if method == "GET" else ""),
            json.dumps(FIELDS) if method == "POST" else "",
            scheme.get(mode, "digest"),
            known.username,
            known.password.reveal(),
            known.token.reveal(),
            times,
            fresh,
        )
