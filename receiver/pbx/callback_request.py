"""The requests that the PBX sends to an action URL, as values.

Rule 1: GET is the configured URL, ``?`` and the six fields, percent-encoded with ``%20`` for a
        space; POST is a JSON object of six strings. Both in the vendor's order. A call without a
        session id has five fields, as before 22.3.
Rule 2: Basic and Bearer credentials are in the first request. Digest is as in libcurl: first a
        request without credentials and, for POST, without its body, then the complete one.
Rule 3: behaviour that the vendor does not document is a guess, and marked as one.

Source: "Managing Virtual Receptionist" for the fields and the forms; libcurl's
``lib/vauth/digest.c`` for the order of the Digest parameters.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import get_args
from urllib.parse import quote

from receiver.auth.digest import Algorithm, parse_parameters, response_hash
from receiver.calls import WIRE, Call
from receiver.pbx.models import ActionUrl

_POST_ORDER = (*(key for key in WIRE if key != "session_id"), "session_id")
_FRAMING = ("host", "content-length", "transfer-encoding", "connection")
_USER_AGENT = "portsip-receiver-simulator"  # the PBX's own is not documented


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP request. Its repr has the method only: the rest has numbers and secrets."""

    method: str
    url: str = field(repr=False)
    headers: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class CallbackFaults:
    """Faults between the PBX and the service; by default there are no faults.

    Attributes:
        slow: seconds that each request takes on the network, within the request timeout.
        dropped: the connection breaks after the service has received the request.
        refused: the service's address refuses connections.
        wrong_password: the PBX sends credentials that the service does not know.
    """

    slow: float = 0.0
    dropped: bool = False
    refused: bool = False
    wrong_password: bool = False


def make_request(action: ActionUrl, call: Call) -> Outgoing:
    """Return the complete request, with credentials if the scheme sends them in the first one.

    An action URL without a method is sent by GET. A configured header replaces a default one, but
    not the credentials of the scheme or a framing header. Each is a guess.
    """
    values = {key: getattr(call, name) for key, name in WIRE.items()}
    if not call.session_id:
        del values["session_id"]
    credentials = _credentials(action)
    headers = {"user-agent": ("User-Agent", _USER_AGENT), "accept": ("Accept", "*/*")}
    url, body = action.url, b""
    if action.method == "POST":
        fields = {key: values[key] for key in _POST_ORDER if key in values}
        text = json.dumps(fields, ensure_ascii=False, separators=(",", ":"))
        body = text.encode("utf-8", "replace")
        headers["content-type"] = ("Content-Type", "application/json")
    else:
        pairs = (f"{key}={quote(text, safe='', errors='replace')}" for key, text in values.items())
        url = f"{url}?{'&'.join(pairs)}"
    for name, value in parse_headers(action.headers):
        if name.lower() not in _FRAMING:
            headers[name.lower()] = (name, value)
    if action.auth not in ("", "DISABLE"):
        headers.pop("authorization", None)
    authorization = [("Authorization", credentials)] if credentials else []
    method = "POST" if action.method == "POST" else "GET"
    return _framed(Outgoing(method, url, (*authorization, *headers.values()), body))


def make_post(target: ActionUrl, body: bytes) -> Outgoing:
    """Return the request that posts JSON to ``target``, with credentials as for `make_request`."""
    credentials = _credentials(target)
    headers = [("Authorization", credentials)] if credentials else []
    headers += [("User-Agent", _USER_AGENT), ("Content-Type", "application/json")]
    return _framed(Outgoing("POST", target.url, tuple(headers), body))


def first_leg(request: Outgoing) -> Outgoing:
    """Return the first request of Digest, which gets the challenge: without a body."""
    return _framed(replace(request, body=b""))


def answer_challenge(
    action: ActionUrl, request: Outgoing, target: str, challenges: Iterable[str], cnonce: str
) -> Outgoing | None:
    """Return the complete request with the Digest credentials for a challenge.

    Parameters:
        request: the result of `make_request`.
        target: the request target, path and query.
        challenges: the values of ``WWW-Authenticate``; the first Digest challenge is used.
        cnonce: a new client nonce.

    Returns:
        None if no challenge is supported: then the 401 is the answer.
    """
    for challenge in challenges:
        scheme, _, rest = challenge.strip().partition(" ")
        if scheme.lower() == "digest":
            value = _digest(action, request.method, target, rest, cnonce)
            if value is None:
                return None
            return replace(request, headers=(("Authorization", value), *request.headers))
    return None


def parse_headers(text: str) -> list[tuple[str, str]]:
    """Return the pairs of ``key1:value1&key2:value2``, split at the first colon and stripped.

    Parts without a colon or a name are ignored; what the PBX does with them is not documented.
    """
    pairs = []
    for part in text.split("&"):
        name, colon, value = part.partition(":")
        if colon and name.strip():
            pairs.append((name.strip(), value.strip()))
    return pairs


def _framed(request: Outgoing) -> Outgoing:
    if request.method != "POST":
        return request
    kept = tuple(pair for pair in request.headers if pair[0] != "Content-Length")
    return replace(request, headers=(*kept, ("Content-Length", str(len(request.body)))))


def _credentials(action: ActionUrl) -> str:
    if action.auth == "BASIC":
        pair = f"{action.username}:{action.password.reveal()}"
        return f"Basic {base64.b64encode(pair.encode('utf-8', 'replace')).decode()}"
    if action.auth == "BEARER":
        return f"Bearer {action.token.reveal()}"
    return ""


def _digest(action: ActionUrl, method: str, target: str, rest: str, cnonce: str) -> str | None:
    asked = parse_parameters(rest)
    if asked is None or not asked.keys() >= {"realm", "nonce"}:
        return None
    algorithm = _algorithm(asked.get("algorithm", "MD5"))
    qops = [part.strip().lower() for part in asked["qop"].split(",")] if "qop" in asked else []
    if algorithm is None or (qops and "auth" not in qops):
        return None
    sent = {"realm": asked["realm"], "nonce": asked["nonce"], "uri": target}
    if qops:
        sent |= {"cnonce": cnonce, "nc": "00000001", "qop": "auth"}
    response = response_hash(
        algorithm,
        method=method,
        username=action.username,
        password=action.password.reveal(),
        parameters=sent,
    )
    parts = [f'username="{_escaped(action.username)}"']
    parts += [f'{name}="{_escaped(sent[name])}"' for name in ("realm", "nonce")]
    parts.append(f'uri="{target}"')
    if qops:
        parts += [f'cnonce="{cnonce}"', "nc=00000001", "qop=auth"]
    parts.append(f'response="{response}"')
    if "opaque" in asked:
        parts.append(f'opaque="{_escaped(asked["opaque"])}"')
    if "algorithm" in asked:
        parts.append(f"algorithm={asked['algorithm']}")
    return "Digest " + ", ".join(parts)


def _algorithm(name: str) -> Algorithm | None:
    known: tuple[Algorithm, ...] = get_args(Algorithm)
    return next((algorithm for algorithm in known if algorithm == name.upper()), None)


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"')
