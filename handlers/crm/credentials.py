"""Credentials of a connector: secrets from the environment, tokens fetched with OAuth 2.

Rule 1: Error texts contain no option's value, which may be a secret, and nothing that the CRM sent
        except its error code.
Rule 2: Secrets and callers' data are sent over https or to this machine only.
Rule 3: A token is fetched once for all waiting calls and refreshed before it expires. The request
        belongs to no call and continues after a call's deadline (`receiver.upstream.Lookup`).
Rule 4: A token that the CRM refuses is replaced, but only once in ``REFRESH_INTERVAL`` seconds:
        more requests would lock the account (Zoho allows 10 in 10 minutes, [doc]).
Rule 5: Each process has its own token (Zoho keeps the last 15, [doc]).
"""

from __future__ import annotations

import json
import math
import os
import re
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from handlers.relay import is_loopback
from receiver import Call, DeclarationError, Secret, Unavailable
from receiver.upstream import Client, Lookup, UpstreamRefused

TIMEOUT = 5.0
"""Seconds for one request: more than a callback has, for what no caller waits for: look-ups that
were started ahead, tokens, records of calls."""

REFRESH_AGE = 45 * 60.0
"""Age in seconds at which a token is refreshed while still used; most are valid for an hour."""

MAX_AGE = 55 * 60.0
"""Age in seconds at which it is no longer used."""

REFRESH_INTERVAL = 60.0
RETRY_AFTER = 30.0
"""Seconds until the next token request after a refusal without Retry-After."""

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")
_CODE = re.compile(r"(?=.{3,80}$)[A-Za-z][A-Za-z0-9]*([_.][A-Za-z0-9]+)+")  # matches no full name


def reveal(value: str | Secret, option: str) -> str:
    """Return a secret that goes into a header; ``"$NAME"`` is read from the environment.

    Parameters:
        option: prefix of error texts, as in ``"HubSpot: token"``.

    Raises:
        DeclarationError: it is empty or not visible ASCII, or the variable is not set or in quotes.
    """
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and (variable := _VARIABLE.fullmatch(text)):
        text = _environment(variable[1], option)
    if not isinstance(text, str) or not re.fullmatch(r"[\x21-\x7e]+", text):
        raise DeclarationError(
            f'{option} must be visible ASCII characters without spaces, or "$NAME" for a variable'
        )
    return text


def expand(text: str, option: str) -> str:
    """Return ``text`` with the values of its variables, as in ``"Token $CRM_TOKEN"``.

    Raises:
        DeclarationError: a variable is not set or in quotes, or ``text`` is not a string.
    """
    if not isinstance(text, str):
        raise DeclarationError(f"{option} must be a string")
    return _VARIABLE.sub(lambda found: _environment(found[1], option), text)


def _environment(name: str, option: str) -> str:
    text = os.environ.get(name, "")
    if not text:
        raise DeclarationError(
            f"{option}: the environment variable {name} is not set: export it; in Python .env is "
            "read for settings only"
        )
    if problem := Secret(text).problem:
        raise DeclarationError(f"{option}: the environment variable {name} {problem}")
    return text


def https_url(url: str, name: str) -> str:
    """Return ``url`` without a slash at its end if requests to it are encrypted or stay here.

    Raises:
        DeclarationError: otherwise; the text starts with ``name``.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except (ValueError, TypeError, AttributeError):
        raise DeclarationError(f"{name}: url= is not a valid URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and is_loopback(host)):
        raise DeclarationError(f"{name}: url= must be the https URL of your CRM")
    return url.rstrip("/")


def code(error: UpstreamRefused) -> str:
    """Return the CRM's error code, ``""`` if the body has none or it could be a person's name."""
    try:
        body = json.loads(error.body)
    except (ValueError, RecursionError):
        return ""
    if isinstance(body, dict) and isinstance(body.get("data"), list):
        body = body["data"]
    if isinstance(body, list):
        body = body[0] if body else None
    if not isinstance(body, dict):
        return ""
    names = (body.get(key) for key in ("errorCode", "code", "name", "error", "category"))
    return next((n for n in names if isinstance(n, str) and _CODE.fullmatch(n)), "")


class OAuth:
    """Tokens of an OAuth 2 grant that needs no browser.

    Parameters:
        name: prefix of error texts.
        url: the token endpoint.
        form: grant type and secrets to send.
        timeout, ca: as for `receiver.upstream.Client`.
        clock: seconds, monotonic.
    """

    def __init__(
        self,
        name: str,
        url: str,
        form: Mapping[str, str],
        *,
        timeout: float = TIMEOUT,
        ca: str | Path | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._url = https_url(url, name)
        self._form = urlencode(form).encode()
        secrets = ", ".join(f"{key}=" for key in form if key != "grant_type")
        self._hint = f"check {secrets}, and that they belong to this host"
        self._client = Client(timeout=timeout, ca=ca)
        self._clock = clock
        self._tokens: Lookup[int, str] = Lookup(
            self._fetch, fresh=REFRESH_AGE, stale=MAX_AGE, max_size=2
        )
        self._number = 0  # of the current token: the key in the cache
        self._last = ""
        self._replaced = self._blocked_until = -math.inf

    async def token(self, call: Call | None) -> str:
        """Return the current token. Raises `Unavailable` if none arrives in the call's time."""
        return await self._tokens(self._number, call)

    def refused(self, token: str) -> bool:
        """Record that the CRM refused ``token``; return True if another one will be fetched."""
        if token == self._last:
            if self._clock() < self._replaced + REFRESH_INTERVAL:
                return False
            self._replaced = self._clock()
            self._number += 1
            self._last = ""
        return True

    async def _fetch(self, _: int) -> str:
        if self._clock() < self._blocked_until:
            raise Unavailable(f"{self._name}: a token request was refused; retrying later")
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            answer = await self._client.request(
                "POST", self._url, content=self._form, headers=headers
            )
            fields = answer.json()
            token = fields.get("access_token") if isinstance(fields, dict) else None
            if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
                text = f"{answer.origin} sent no token"
                raise UpstreamRefused(text, status=answer.status, body=answer.body)  # Zoho, [doc]
        except UpstreamRefused as error:
            self._blocked_until = self._clock() + (error.retry_after or RETRY_AFTER)
            hint = self._hint if error.status < 429 else ""
            text = ": ".join(filter(None, ("no token", str(error), code(error), hint)))
            raise Unavailable(f"{self._name}: {text}") from None
        self._last = token
        return token

    @classmethod
    def or_token(
        cls,
        token: str | Secret,
        name: str,
        url: str,
        grant: str,
        *,
        timeout: float,
        ca: str | Path | None,
        **secrets: str | Secret,
    ) -> str | OAuth:
        """Return ``token`` if there is one, else the tokens of a grant.

        Parameters:
            secrets: of the grant; each name is both our option and OAuth's field.

        Raises:
            DeclarationError: a secret is missing; or the URL is invalid or not encrypted.
        """
        if token:
            return reveal(token, f"{name}: token")
        if missing := next((key for key, value in secrets.items() if not value), ""):
            raise DeclarationError(
                f"{name}: {missing} is missing: set {', '.join(secrets)}, or token for a trial"
            )
        form = {key: reveal(value, f"{name}: {key}") for key, value in secrets.items()}
        return cls(name, url, {"grant_type": grant, **form}, timeout=timeout, ca=ca)
