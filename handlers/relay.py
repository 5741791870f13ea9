"""Handler that forwards the callback to another HTTP service (n8n, Node-RED, Zapier, …).

::

    relay = Relay("https://n8n.example.com/webhook/call", secret="whsec_…", fallback="8000")

Rule 1: The callback is sent once, as a JSON POST with the PBX's six field names, within the time of
        the call.
Rule 2: It is signed by Standard Webhooks (``webhook-id``, ``-timestamp``, ``-signature``:
        HMAC-SHA256), for which libraries exist; the service can verify its origin and detect
        replays.
Rule 3: The answer is parsed leniently, see `read`; an invalid or late one leads to the fallback.
        Redirects are not followed, so no other host gets the callback.
Rule 4: A service that fails repeatedly gets no requests for a while (`receiver.upstream.Client`).
        The log contains its host only.
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
    repeats_of,
)
from receiver.upstream import Client

log = logging.getLogger("receiver.handlers")

_ACTIONS: dict[str, Reply] = {"hangup": Hangup(), "hang up": Hangup(), "repeat": Repeat()}
_EXAMPLE = '{"action": "call", "destination": "222"}'
_FORWARDS = ("call", "forward", "transfer", "")


class Relay:
    """A handler that forwards the callback to another service.

    ::

        ivr.add("DTMF", "1", Relay("https://n8n.example.com/webhook/x"), name="relay")

    Parameters:
        url: URL of the service; ``https``, or plain ``http`` on this machine.
        secret: ``whsec_`` and 24 to 64 octets in base64, shared with the service. Empty for no
            signature.
        fallback: reply or handler without a valid answer; the default is the action's fallback.
        timeout: maximum seconds to wait; the call's deadline applies as well.
        headers: additional headers, such as ``Authorization``.
        plain: True allows ``http`` to another machine, which exposes keyed input on the network.
        ca: PEM file with the certificate of a private authority.
        clock: seconds since 1970.

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
        origin = origin_of(url, plain)
        self._client = Client(origin, headers=headers, timeout=timeout, ca=ca)
        self._url = url
        self._key = _key(secret)
        self._fallback = None if fallback is None else handler_of(fallback, "Relay: fallback")
        self._clock = clock
        self.sensitive = is_sensitive(self._fallback)
        self.repeats = repeats_of(self._fallback)

    async def __call__(self, call: Call) -> Reply:
        body = json.dumps(_fields(call)).encode()
        headers = {"Content-Type": "application/json", **self._signed(body)}
        try:
            answer = await self._client.request(
                "POST", self._url, call=call, content=body, headers=headers
            )
            try:
                reply = read(answer.body)
            except ReplyError as error:
                raise Unavailable(f"the answer of {answer.origin} is no reply: {error}") from None
        except Unavailable as error:
            if self._fallback is None:
                raise
            log.warning("Relay uses its fallback: %s", error)
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


def read(body: bytes) -> Reply:
    """Parse the answer of a service as a reply.

    The PBX's form is ``{"action": "call", "destination": "222"}``. Also accepted: ``forward`` or
    ``transfer`` for ``call``, or no action; a number instead of text; ``"222"``, ``"hangup"`` or
    ``"repeat"`` alone, as JSON or plain text; and each of these as the only item of a list, as sent
    by n8n.

    Raises:
        ReplyError: the answer is not a reply; the text contains the reason and nothing of it.
    """
    text = body.decode("utf-8-sig", "replace").strip()
    try:
        # Numbers stay text: a destination may have leading zeros or many digits.
        answer = json.loads(text, parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        answer = text
    if isinstance(answer, list):
        if len(answer) != 1:
            raise ReplyError(f"it is a list of {len(answer)} items: answer with one")
        answer = answer[0]
    if isinstance(answer, str):
        return _of_text(answer)
    if not isinstance(answer, dict):
        raise ReplyError(f"it is {_kind(answer)}, not an object, a text or a number")
    if not answer.get("action") and not answer.get("destination"):
        raise ReplyError(f"it has no action and no destination, as in {_EXAMPLE}")
    return _of_object(answer.get("action") or "", answer.get("destination") or "")


def _of_text(text: str) -> Reply:
    if not text:
        raise ReplyError("it is empty")
    if text.startswith("<"):
        raise ReplyError("it is HTML or XML: does url= lead to the flow, and does it respond?")
    if text.startswith(("{", "[")):
        raise ReplyError("it begins like JSON and cannot be read as JSON")
    if (word := text.strip().lower()) in _ACTIONS:
        return _ACTIONS[word]
    return _forward(
        text.strip(), "the text of {} characters is neither hangup, repeat nor a number"
    )


def _of_object(action: object, destination: object) -> Reply:
    if not isinstance(action, str):
        raise ReplyError(f"its action is {_kind(action)}, not a text")
    action = action.strip().lower()
    if action in _ACTIONS:
        return _ACTIONS[action]
    if action not in _FORWARDS:
        known = ", ".join((*filter(None, _FORWARDS), *_ACTIONS))
        raise ReplyError(f"its action is none of {known}")
    if not isinstance(destination, str):
        raise ReplyError(f"its destination is {_kind(destination)}, not a text or a number")
    if not destination.strip():
        raise ReplyError(f"it has no destination, as in {_EXAMPLE}")
    return _forward(destination.strip(), "its destination of {} characters is no number")


def _forward(destination: str, problem: str) -> Reply:
    try:
        return Forward(destination)
    except ReplyError:
        shown = problem.format(len(destination))
        raise ReplyError(
            f"{shown} that can be dialled: 1 to 64 digits, * or #, with or without + before them"
        ) from None


def _kind(value: object) -> str:
    names = {type(None): "null", bool: "true or false", list: "a list", dict: "an object"}
    return names.get(type(value), "a text")


def _fields(call: Call) -> dict[str, str]:
    return {
        "session_id": call.session_id,
        "from": call.caller,
        "to": call.ivr,
        "input": call.digits,
        "from_name": call.caller_name,
        "account_name": call.ivr_name,
    }


def origin_of(url: str, plain: bool, name: str = "Relay") -> str:
    """Return scheme, host and port of ``url``; raises DeclarationError if it is not allowed."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except (ValueError, TypeError, AttributeError):
        raise DeclarationError(f"{name}: url= cannot be read as a URL") from None
    if parts.scheme not in ("http", "https") or not host or parts.username or parts.fragment:
        raise DeclarationError(
            f"{name}: url= is an https URL without credentials and fragment; "
            "credentials belong in headers="
        )
    if parts.scheme == "http" and not plain and not is_loopback(host):
        raise DeclarationError(
            f"{name}: url= is plain http to another machine, where callers' data could be read on "
            "the way: use https, or set plain=True"
        )
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{port}" if port else "")


def is_loopback(host: str) -> bool:
    """Return whether the host of a URL is this machine."""
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
