"""Digest authentication, RFC 7616 and the older RFC 2069 form, on stateless nonces.

Rule 1: by default one challenge, in the only form that all measured clients accept:
        ``Digest realm="…", nonce="…", algorithm=MD5, qop="auth"``. With SHA-256 alone nine of 23
        clients fail, with two lines, MD5 first, one fails. Both lines have the same nonce, because
        some clients answer one line with the nonce of the other.
Rule 2: a nonce is its time, six random bytes and a signature: any worker or machine that holds the
        service secret accepts it, but only for the action it was made for.
Rule 3: ``stale=true`` exactly if everything except the nonce was right. Without it libcurl treats
        the refusal as a wrong password and does not retry.
Rule 4: a nonce count is valid once; a store records the counts that were used.
Rule 5: an unknown user costs the same work as a wrong password.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Literal

from receiver.auth.scheme import (
    MAX_AUTHORIZATION,
    REALM,
    WRONG_PASSWORD,
    Accepted,
    AuthRequest,
    AuthResult,
    NonceUse,
    Refused,
    read_credentials,
)
from receiver.credentials import Credentials

Algorithm = Literal["MD5", "SHA-256"]

NONCE_LIFE = 300.0
"""Seconds for which a nonce is valid."""

_CLOCK_SKEW = 30.0  # seconds by which the clocks of two machines may differ
_TIME, _SALT, _SIGNATURE = 6, 6, 20  # bytes; 32 in all are 43 characters without padding
_HASHES = {"MD5": hashlib.md5, "SHA-256": hashlib.sha256}
# Unrolled, which is three times as fast, and every quantifier is possessive: a failed match does
# not backtrack.
_PARAMETER = re.compile(
    r"""([!#$%&'*+.^_`|~0-9A-Za-z-]++) [ \t]*+ = [ \t]*+
    (?: "([^"\\]*+(?:\\.[^"\\]*+)*+)" | ([^\s",;]++) ) [ \t]*+ (?: ,[ \t,]*+ | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_ABSOLUTE = re.compile(r"https?://", re.IGNORECASE)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COUNT = re.compile(r"[0-9a-fA-F]{8}")
_REQUIRED = frozenset({"username", "realm", "nonce", "uri", "response"})
_NONCES = 256  # nonces that are cached as genuine
_STANDARD = bytes.maketrans(b"-_+/=", b"+/???")  # from base64url; others stay invalid


class Digest:
    """Accepts any of ``credentials``.

    Parameters:
        credentials: the accepted ones, newest first.
        nonce_key: signs the nonces; one per action, so that another action refuses the nonce.
        entropy: returns that many random bytes.
        algorithms: the accepted ones; a challenge names each, in this order.
        uri_without_query: whether ``uri`` may lack the query of the request, as libcurl with
            CURLAUTH_DIGEST_IE, axios-digest and old .NET send it. The response then does not
            protect the query.
    """

    def __init__(
        self,
        credentials: Sequence[Credentials],
        *,
        nonce_key: bytes,
        entropy: Callable[[int], bytes],
        algorithms: Sequence[Algorithm] = ("MD5",),
        uri_without_query: bool = False,
    ) -> None:
        self._signing = hmac.new(nonce_key, digestmod="sha256")
        self._entropy = entropy
        self._made = lru_cache(_NONCES)(self._read_nonce)
        self._uri_without_query = uri_without_query
        self._algorithms = {name.upper(): name for name in algorithms}
        self._known = {
            name: tuple(
                (_octets(c.username), _hash(name, c.username, REALM, c.password.reveal()))
                for c in credentials
            )
            for name in algorithms
        }

    def check(self, request: AuthRequest, now: float) -> AuthResult:
        header = read_credentials(request, "digest", lambda: self.challenges(now))
        if isinstance(header, Refused):
            return header
        sent = parse_parameters(_with_quotes_escaped(header, request))
        if sent is None or not _is_whole(sent):
            return Refused("a Digest header that cannot be read", status=400)
        uri = _named_target(sent["uri"], request, self._uri_without_query)
        if uri is None:
            return Refused("a Digest header for another URL", status=400)
        sent["uri"] = uri
        algorithm = self._algorithms.get(sent.get("algorithm", "MD5").upper())
        if sent["realm"] != REALM or algorithm is None:
            return Refused("another realm or algorithm", self.challenges(now))
        if not self._is_response(sent, algorithm, request.method):
            return self.refuse(WRONG_PASSWORD, now)
        # Without qop the response does not cover nc: such a nonce is valid once.
        count = int(sent["nc"], 16) if "qop" in sent else 0
        return self._check_nonce(sent["nonce"], count, now)

    def refuse(self, reason: str, now: float, *, stale: bool = False) -> Refused:
        return Refused(reason, self.challenges(now, stale=stale), wrong=not stale, stale=stale)

    def challenges(self, now: float, *, stale: bool = False) -> tuple[str, ...]:
        """Return the values of ``WWW-Authenticate`` at ``now`` (seconds since the epoch)."""
        nonce, more = self._nonce(now), ", stale=true" if stale else ""
        return tuple(
            f'Digest realm="{REALM}", nonce="{nonce}", algorithm={name}, qop="auth"{more}'
            for name in self._algorithms.values()
        )

    def _is_response(self, sent: dict[str, str], algorithm: Algorithm, method: str) -> bool:
        user, known = _octets(sent["username"]), self._known[algorithm]
        is_user, secret = False, known[0][1]
        for username, its_secret in known:
            if hmac.compare_digest(username, user):
                is_user, secret = True, its_secret
        expected = _prove(algorithm, secret, _hash(algorithm, method, sent["uri"]), sent)
        response = _octets(sent["response"].lower())
        return hmac.compare_digest(expected.encode(), response) & is_user

    def _nonce(self, now: float) -> str:
        head = int(now * 1000).to_bytes(_TIME, "big") + self._entropy(_SALT)
        return base64.urlsafe_b64encode(head + self._sign(head)).rstrip(b"=").decode()

    def _sign(self, head: bytes) -> bytes:
        signing = self._signing.copy()  # half the cost of a new one
        signing.update(head)
        return signing.digest()[:_SIGNATURE]

    def _read_nonce(self, nonce: str) -> float | None:
        """Return when a nonce was made, in seconds since the epoch; None if it is not genuine."""
        try:
            text = nonce.encode("ascii").translate(_STANDARD)
            octets = binascii.a2b_base64(text + b"=", strict_mode=True)
        except (binascii.Error, ValueError):
            return None
        head, signature = octets[: _TIME + _SALT], octets[_TIME + _SALT :]
        if not hmac.compare_digest(self._sign(head), signature):
            return None
        return int.from_bytes(head[:_TIME], "big") / 1000

    def _check_nonce(self, nonce: str, count: int, now: float) -> AuthResult:
        """Check the nonce of a right response: an expired or forged one is refused as stale."""
        made = self._made(nonce)
        if made is None:
            return self.refuse("a nonce that is not of this action", now, stale=True)
        if not -_CLOCK_SKEW <= now - made <= NONCE_LIFE:
            return self.refuse("a nonce that is too old", now, stale=True)
        return Accepted(NonceUse(nonce, count, made))


def _named_target(uri: str, request: AuthRequest, uri_without_query: bool) -> str | None:
    """Return ``uri`` in the form that the client hashed; None if it does not name the target.

    Two forms of a target with a quote or a backslash in it are in use: libcurl from 8.19.0 on
    escapes it as RFC 9110 5.6.4 says and hashes the unescaped form; its older versions, Java, neon,
    POCO and cpp-httplib send and hash it as it is (see `_with_quotes_escaped`). The hashed form
    names the target of this request, so that credentials for one URL are invalid for any other.
    """
    if uri == request.target or _is_target(uri, request, uri_without_query):
        return uri
    plain = _ESCAPED.sub(r"\1", uri)
    if plain != uri and _is_target(plain, request, uri_without_query):
        return plain
    return None


def _with_quotes_escaped(text: str, request: AuthRequest) -> str:
    """Return a Digest header in which a ``uri`` equal to the target is escaped.

    An unescaped quote would end the value; the request's target tells where the value ends.
    """
    if '"' not in request.target and "\\" not in request.target:
        return text
    path, mark, query = request.target.partition("?")
    for known in filter(None, (path, request.public_path)):
        target = known + mark + query
        if f'{target}"' in text:
            escaped = target.replace("\\", "\\\\").replace('"', '\\"')
            return text.replace(f'{target}"', f'{escaped}"', 1)
    return text


def _is_target(uri: str, request: AuthRequest, uri_without_query: bool) -> bool:
    """Return whether ``uri`` names the target, with the path sent here or the public path."""
    path, mark, query = request.target.partition("?")
    if _ABSOLUTE.match(uri):
        uri = "/" + uri.split("/", 3)[3] if uri.count("/") > 2 else "/"
    paths = (path, request.public_path) if request.public_path else (path,)
    if uri_without_query and uri in paths:
        return True
    return any(uri == p + mark + query or (not query and uri == p + "?") for p in paths)


def parse_parameters(text: str) -> dict[str, str] | None:
    """Return the parameters of a Digest header or challenge, their names in lower case.

    None if it is malformed: an open quote, a parameter without a value or one that occurs twice,
    other text in between, more than 12,288 characters. ``uri`` keeps its backslashes: the header
    alone does not show whether the client escaped it.
    """
    if len(text) > MAX_AUTHORIZATION:
        return None
    text, position = text.strip(" \t,"), 0
    parameters: dict[str, str] = {}
    while position < len(text):
        if (match := _PARAMETER.match(text, position)) is None:
            return None
        written, quoted, token = match.groups()
        if (name := written.lower()) in parameters:
            return None
        if quoted and "\\" in quoted and name != "uri":
            quoted = _ESCAPED.sub(r"\1", quoted)
        parameters[name] = token or quoted
        position = match.end()
    return parameters


def _is_whole(sent: dict[str, str]) -> bool:
    """Return whether no parameter is missing or wrong."""
    if not sent.keys() >= _REQUIRED:
        return False
    if "qop" not in sent:
        return True  # the form of RFC 2069
    if sent["qop"] != "auth" or not sent.get("cnonce"):
        return False
    count = sent.get("nc", "")
    return _COUNT.fullmatch(count) is not None and count != "00000000"


def response_hash(
    algorithm: Algorithm,
    *,
    method: str,
    username: str,
    password: str,
    parameters: dict[str, str],
) -> str:
    """Return the ``response`` that proves the password, RFC 7616 section 3.4.1.

    Parameters:
        parameters: ``realm``, ``nonce`` and ``uri``, and for ``qop=auth`` also ``nc``, ``cnonce``
            and ``qop``.
    """
    secret = _hash(algorithm, username, parameters["realm"], password)
    return _prove(algorithm, secret, _hash(algorithm, method, parameters["uri"]), parameters)


def _prove(algorithm: Algorithm, secret: str, request: str, parameters: dict[str, str]) -> str:
    """Return the ``response`` from the hashes of A1 and A2."""
    if "qop" not in parameters:
        return _hash(algorithm, secret, parameters["nonce"], request)
    count = parameters["nc"], parameters["cnonce"], parameters["qop"]
    return _hash(algorithm, secret, parameters["nonce"], *count, request)


def _hash(algorithm: Algorithm, *parts: str) -> str:
    return _HASHES[algorithm](_octets(":".join(parts)), usedforsecurity=False).hexdigest()


def _octets(text: str) -> bytes:
    """Return the octets of a header, which servers decode as Latin-1."""
    return text.encode("latin-1", "backslashreplace")
