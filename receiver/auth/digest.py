"""Digest authentication, RFC 7616 and the older RFC 2069 form, on stateless nonces.

Rule 1: by default one challenge, in the one form that every client we measured survives:
        ``Digest realm="…", nonce="…", algorithm=MD5, qop="auth"``. SHA-256 alone loses nine of 23
        of them, two lines with MD5 first lose one; both lines have one nonce, for some clients
        answer the one with the nonce of the other.
Rule 2: a nonce is its time, six random bytes and a signature: any worker or machine that holds the
        service secret accepts it, but only for the action it was made for.
Rule 3: ``stale=true`` exactly if everything but the nonce was right. Without it libcurl takes a
        refusal for a wrong password and gives the call up.
Rule 4: a count of a nonce is good once; which were used is for a store to know.
Rule 5: an unknown user costs the same work as a wrong password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from typing import Literal

from receiver.auth.scheme import (
    NO_CREDENTIALS,
    OTHER_CREDENTIALS,
    REALM,
    WRONG_PASSWORD,
    Accepted,
    Asked,
    Once,
    Refused,
    Verdict,
    split_authorization,
)
from receiver.secrets import Credentials

Algorithm = Literal["MD5", "SHA-256"]

NONCE_LIFE = 300.0
"""Seconds for which a nonce is good."""

_CLOCK_SKEW = 30.0  # seconds by which the clocks of two machines may differ
_TIME, _SALT, _SIGNATURE = 6, 6, 20  # bytes; 32 in all are 43 characters without padding
_LONGEST_HEADER = 12_288  # the longest target that a request may have, and as much again by half
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
_PARAMETER = re.compile(
    r"""[ \t,]* (?P<name>[!#$%&'*+.^_`|~0-9A-Za-z-]+) [ \t]*=[ \t]*
        (?: "(?P<quoted>(?:[^"\\]|\\.)*)" | (?P<token>[^\s",;]+) ) [ \t]* (?=,|\Z)""",
    re.VERBOSE | re.DOTALL,
)
_COUNT = re.compile(r"[0-9a-fA-F]{8}")


class Digest:
    """Accepts any of ``credentials``.

    Parameters:
        credentials: those accepted, the newest first.
        nonce_key: signs the nonces; one per action, so that a nonce of one is refused at another.
        entropy: gives that many random bytes.
        algorithms: those accepted, a challenge for each in this order.
    """

    def __init__(
        self,
        credentials: Sequence[Credentials],
        *,
        nonce_key: bytes,
        entropy: Callable[[int], bytes],
        algorithms: Sequence[Algorithm] = ("MD5",),
    ) -> None:
        self._nonce_key = nonce_key
        self._entropy = entropy
        self._algorithms = {name.upper(): name for name in algorithms}
        self._known = {
            name: tuple(
                (_octets(c.username), _hash(name, c.username, REALM, c.password.reveal()))
                for c in credentials
            )
            for name in algorithms
        }

    def check(self, asked: Asked, now: float) -> Verdict:
        found = split_authorization(asked)
        if isinstance(found, Refused):
            return found
        name, rest = found
        if name != "digest":
            reason = OTHER_CREDENTIALS if name else NO_CREDENTIALS
            return Refused(reason, self.challenges(now))
        sent = parse_parameters(rest)
        if sent is None or _malformed(sent):
            return Refused("a Digest header that cannot be read", status=400)
        if not _is_target(sent["uri"], asked):
            return Refused("a Digest header for another URL", status=400)
        algorithm = self._algorithms.get(sent.get("algorithm", "MD5").upper())
        if sent["realm"] != REALM or algorithm is None:
            return Refused("another realm or algorithm", self.challenges(now))
        if not self._is_response(sent, algorithm, asked.method):
            return self.refuse(WRONG_PASSWORD, now)
        return self._judge_nonce(sent["nonce"], int(sent.get("nc", "0"), 16), now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, self.challenges(now, stale=stale), wrong=not stale, stale=stale)

    def challenges(self, now: float, *, stale: bool = False) -> tuple[str, ...]:
        """The values of ``WWW-Authenticate`` at ``now`` (seconds since the epoch)."""
        nonce, more = self._nonce(now), ", stale=true" if stale else ""
        return tuple(
            f'Digest realm="{REALM}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in self._algorithms.values()
        )

    def _is_response(self, sent: dict[str, str], algorithm: Algorithm, method: str) -> bool:
        response = _octets(sent["response"].lower())
        user, request = _octets(sent["username"]), _hash(algorithm, method, sent["uri"])
        right = False
        for username, secret in self._known[algorithm]:
            expected = _prove(algorithm, secret, request, sent)
            same_user = hmac.compare_digest(username, user)
            right |= hmac.compare_digest(expected.encode(), response) & same_user
        return right

    def _nonce(self, now: float) -> str:
        head = int(now * 1000).to_bytes(_TIME, "big") + self._entropy(_SALT)
        return base64.urlsafe_b64encode(head + self._sign(head)).rstrip(b"=").decode()

    def _sign(self, head: bytes) -> bytes:
        return hmac.digest(self._nonce_key, head, hashlib.sha256)[:_SIGNATURE]

    def _judge_nonce(self, nonce: str, count: int, now: float) -> Verdict:
        """All else was right: a nonce that is too old, or never was one of ours, is stale."""
        try:
            octets = base64.b64decode(nonce.encode() + b"=", altchars=b"-_", validate=True)
        except (binascii.Error, ValueError):
            octets = b""
        head, signature = octets[: _TIME + _SALT], octets[_TIME + _SALT :]
        if not hmac.compare_digest(self._sign(head), signature):
            return self.refuse("a nonce that is not of this action", now, stale=True)
        made = int.from_bytes(head[:_TIME], "big") / 1000
        if not -_CLOCK_SKEW <= now - made <= NONCE_LIFE:
            return self.refuse("a nonce that is too old", now, stale=True)
        return Accepted(Once(nonce, count, made))


def _is_target(uri: str, asked: Asked) -> bool:
    """Whether ``uri`` names what was requested, as it was sent here or as the PBX knows it."""
    path, mark, query = asked.target.partition("?")
    if re.match(r"https?://", uri, re.IGNORECASE):
        uri = "/" + uri.split("/", 3)[3] if uri.count("/") > 2 else "/"
    paths = (path, asked.public_path) if asked.public_path else (path,)
    return any(uri == p + mark + query or (not query and uri == p + "?") for p in paths)


def parse_parameters(text: str) -> dict[str, str] | None:
    """The parameters of a Digest header or challenge, their names in lower case.

    None if it cannot be read: an open quote, a parameter without a value or one that stands there
    twice, rubbish in between, over 12,288 characters. ``uri`` keeps its backslashes: the clients
    that send one in it do not escape it, and hash it as it stands.
    """
    if len(text) > _LONGEST_HEADER:
        return None
    found: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip(" \t,")):
        match = _PARAMETER.match(text, position)
        if match is None or (name := match["name"].lower()) in found:
            return None
        quoted = match["quoted"]
        if quoted is not None and name != "uri":
            quoted = re.sub(r"\\(.)", r"\1", quoted, flags=re.DOTALL)
        found[name] = match["token"] if quoted is None else quoted
        position = match.end()
    return found


def _malformed(sent: dict[str, str]) -> str:
    """The name of a parameter that is missing or wrong; empty if all are there."""
    for name in ("username", "realm", "nonce", "uri", "response"):
        if name not in sent:
            return name
    if "qop" not in sent:
        return ""  # the form of RFC 2069
    if sent["qop"] != "auth":
        return "qop"
    if not sent.get("cnonce"):
        return "cnonce"
    count = sent.get("nc", "")
    return "" if _COUNT.fullmatch(count) and int(count, 16) else "nc"


def response_hash(
    algorithm: Algorithm,
    *,
    method: str,
    username: str,
    password: str,
    parameters: dict[str, str],
) -> str:
    """The ``response`` that proves the password, RFC 7616 section 3.4.1.

    Parameters:
        parameters: ``realm``, ``nonce`` and ``uri``, and for ``qop=auth`` also ``nc``, ``cnonce``
            and ``qop``.
    """
    secret = _hash(algorithm, username, parameters["realm"], password)
    return _prove(algorithm, secret, _hash(algorithm, method, parameters["uri"]), parameters)


def _prove(algorithm: Algorithm, secret: str, request: str, parameters: dict[str, str]) -> str:
    """The same from A1 and A2, which are hashed already."""
    if "qop" not in parameters:
        return _hash(algorithm, secret, parameters["nonce"], request)
    count = (parameters[name] for name in ("nonce", "nc", "cnonce", "qop"))
    return _hash(algorithm, secret, *count, request)


def _hash(algorithm: Algorithm, *parts: str) -> str:
    return _HASHES[algorithm](_octets(":".join(parts)), usedforsecurity=False).hexdigest()


def _octets(text: str) -> bytes:
    """The octets of a header, which every server hands on as Latin-1."""
    return text.encode("latin-1", "backslashreplace")
