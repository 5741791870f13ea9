"""Hands the callback to another HTTP service (n8n, Node-RED, Zapier, …), and its answer to the PBX.

::

    relay = Relay("https://n8n.example.com/webhook/call", secret="whsec_…", fallback="8000")

Rule 1: it is sent as JSON with the PBX's own six names, by POST, once, in what time the call has.
Rule 2: it is signed as Standard Webhooks describes (``webhook-id``, ``-timestamp``, ``-signature``:
        HMAC-SHA256), for which there are libraries; the other side can tell it is from here, and
        was not sent again by somebody else.
Rule 3: the answer is read leniently, see `read`, but what is no reply, or no answer in time, is the
        fallback. Redirects are not followed: the call goes nowhere else.
Rule 4: a service that fails again and again is left alone for a while (`receiver.upstream.Client`).
        The log names its host, nothing else.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import ipaddress
import json
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlsplit

from receiver import (
    Call,
    DeclarationError,
    Forward,
    Hangup,
    Repeat,
    Reply,
    ReplyError,
    Secret,
    Then,
    Unavailable,
    handler_of,
    is_sensitive,
)
from receiver.upstream import Client

log = logging.getLogger("receiver.handlers")

_ACTIONS: dict[str, Reply] = {"hangup": Hangup(), "hang up": Hangup(), "repeat": Repeat()}
_FORWARDS = ("call", "forward", "transfer", "")


class Relay:
    """A handler that asks somebody else.

    Parameters:
        url: where to; ``https``, or plain ``http`` on this machine.
        secret: ``whsec_`` and 24 to 64 octets in base64, which the other side has too. Empty leaves
            the signature out.
        fallback: where the call leads without a good answer; by default as for every handler.
        timeout: most seconds to wait; the call's own time counts as well.
        headers: further ones, such as ``Authorization``.
        plain: True allows ``http`` to another machine: what callers key in can then be read on the
            way.
        ca: a PEM file with the certificate of a private authority.
        clock: in seconds since 1970, for tests.

    In a file::

        handler = "relay"
        url = "https://n8n.example.com/webhook/call"
        secret = "$FLOW_SECRET"
        fallback = "8000"

    Raises:
        DeclarationError: an option is wrong.
    """

    def __init__(
        self,
        url: str,
        *,
        secret: str | Secret = "",
        fallback: Then | None = None,
        timeout: float = 1.0,
        headers: Mapping[str, str] | None = None,
        plain: bool = False,
        ca: str | Path | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        origin = _origin(url, plain)
        self._client = Client(origin, headers=headers, timeout=timeout, ca=ca)
        self._url = url
        self._key = _key(secret)
        self._fallback = None if fallback is None else handler_of(fallback, "Relay: fallback")
        self._clock = clock
        self.sensitive = is_sensitive(self._fallback)

    async def __call__(self, call: Call) -> Reply:
        body = json.dumps(_fields(call)).encode()
        headers = {"Content-Type": "application/json", **self._signed(body)}
        try:
            answer = await self._client.request(
                "POST", self._url, call=call, content=body, headers=headers
            )
            reply = read(answer.body)
            if reply is None:
                raise Unavailable(f"the answer of {answer.origin} is no reply")
        except Unavailable as error:
            if self._fallback is None:
                raise
            log.warning("Relay gives its fallback: %s", error)
            return await self._fallback(call)
        return reply

    def _signed(self, body: bytes) -> dict[str, str]:
        if not self._key:
            return {}
        name, now = f"msg_{secrets.token_hex(16)}", str(int(self._clock()))
        octets = f"{name}.{now}.".encode() + body
        signature = hmac.digest(self._key, octets, hashlib.sha256)
        return {
            "webhook-id": name,
            "webhook-timestamp": now,
            "webhook-signature": "v1," + base64.b64encode(signature).decode(),
        }


def read(body: bytes) -> Reply | None:
    """The reply that somebody else's answer means, None if it means none.

    The PBX's own form is ``{"action": "call", "destination": "222"}``. Besides: ``forward`` or
    ``transfer`` for ``call``, or no action at all; a number in place of text; ``"222"``,
    ``"hangup"`` or ``"repeat"`` alone, as JSON or plain text; and all of this as the only item of a
    list, as n8n gives it.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    try:
        # Numbers stay text: a destination may begin with a zero, or be long.
        answer = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        answer = text
    if isinstance(answer, list) and len(answer) == 1:
        answer = answer[0]
    if isinstance(answer, str):
        return _reply("", answer) if answer.lower() not in _ACTIONS else _reply(answer, "")
    if not isinstance(answer, dict):
        return None
    return _reply(answer.get("action") or "", answer.get("destination") or "")


def _reply(action: object, destination: object) -> Reply | None:
    if not isinstance(action, str) or not isinstance(destination, str):
        return None
    action = action.strip().lower()
    if action in _ACTIONS:
        return _ACTIONS[action]
    try:
        return Forward(destination.strip()) if action in _FORWARDS else None
    except ReplyError:
        return None


def _fields(call: Call) -> dict[str, str]:
    return {
        "session_id": call.session_id,
        "from": call.caller,
        "to": call.ivr,
        "input": call.digits,
        "from_name": call.caller_name,
        "account_name": call.ivr_name,
    }


def _origin(url: str, plain: bool) -> str:
    """Scheme, host and port of ``url``, which may be asked."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except (ValueError, TypeError, AttributeError):
        raise DeclarationError("Relay: url= cannot be read as a URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.fragment:
        raise DeclarationError(
            "Relay: url= is an https URL without credentials and fragment; "
            "credentials belong in headers="
        )
    if parts.scheme == "http" and not plain and not _is_here(host):
        raise DeclarationError(
            "Relay: url= is plain http to another machine, where callers' data could be read on "
            "the way: use https, or say plain=True aloud"
        )
    name = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{name}" + (f":{port}" if port else "")


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _key(secret: str | Secret) -> bytes:
    text = secret.reveal() if isinstance(secret, Secret) else secret
    if not text:
        return b""
    try:
        key = base64.b64decode(str(text).removeprefix("whsec_"), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not 24 <= len(key) <= 64:
        raise DeclarationError(
            'Relay: secret= is "whsec_" and 24 to 64 octets in base64, as from: '
            "python3 -c 'import base64, secrets; "
            'print("whsec_" + base64.b64encode(secrets.token_bytes(32)).decode())\''
        )
    return key
