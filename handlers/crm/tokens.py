"""Tokens that run out: fetched with OAuth 2, kept in memory, renewed before they end.

Rule 1: however many calls wait for a token, it is asked for once. It belongs to none of them: the
        asking goes on when a call's time is up (`receiver.upstream.Lookup`).
Rule 2: a token that the CRM refuses is replaced at once, but not again within ``AGAIN`` seconds: it
        is not the token then, and who asks for many is locked out (Zoho: 10 in 10 minutes, [doc]).
Rule 3: whoever refuses a token is not asked for ``PAUSE`` seconds, or as long as it says.
Rule 4: each process has a token of its own (Zoho keeps the last 15, [doc]).
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Mapping
from urllib.parse import urlencode

from handlers.crm.api import Credentials, Fixed, code
from handlers.crm.options import revealed, safe
from handlers.crm.terms import Terms
from receiver import Call, Secret, Unavailable
from receiver.upstream import Lookup, UpstreamRefused

FRESH = 45 * 60.0
"""Seconds after which a token is renewed while it is still used; most live for an hour."""

STALE = 55 * 60.0
"""Seconds after which it is used no more."""

AGAIN = 60.0
PAUSE = 30.0


class OAuth:
    """Credentials by a grant that needs nobody at a browser.

    Parameters:
        name: of the connector, as errors have it.
        url: the token endpoint.
        form: what is sent there: grant type and secrets.
        terms: as for the rest of the CRM.
        clock: in seconds, for tests.
    """

    def __init__(
        self,
        name: str,
        url: str,
        form: Mapping[str, str],
        terms: Terms,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._name = name
        self._url = safe(url, name)
        self._form = urlencode(form).encode()
        self._client = terms.client()
        self._clock = clock
        self._kept: Lookup[int, str] = Lookup(self._renewed, fresh=FRESH, stale=STALE, most=2)
        self._turn = 0  # which token of ours it is: another one is another key
        self._last = ""
        self._replaced = self._left_until = -math.inf

    async def token(self, call: Call | None) -> str:
        """A token, waited for as long as ``call`` has time.

        Raises:
            Unavailable: none is to be had, or not in time.
        """
        return await self._kept(self._turn, call)

    def refused(self, token: str) -> bool:
        """The CRM refused ``token``: whether there is, or will be, another one."""
        if token != self._last:
            return True  # another call has it replaced already
        if self._clock() < self._replaced + AGAIN:
            return False
        self._replaced = self._clock()
        self._turn += 1
        self._last = ""
        return True

    async def _renewed(self, _: int) -> str:
        if self._clock() < self._left_until:
            raise Unavailable(f"{self._name}: a token was refused, and is asked for later again")
        try:
            self._last = await self._ask()
        except UpstreamRefused as error:
            self._left_until = self._clock() + (error.retry_after or PAUSE)
            said = ": ".join(filter(None, ("no token", str(error), code(error))))
            raise Unavailable(f"{self._name}: {said}") from None
        return self._last

    async def _ask(self) -> str:
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await self._client.request("POST", self._url, content=self._form, headers=headers)
        told = answer.json()
        token = told.get("access_token") if isinstance(told, dict) else None
        if not isinstance(token, str) or not re.fullmatch(r"[\x21-\x7e]+", token):
            # Zoho refuses with status 200, [doc].
            said = f"{answer.origin} gave no token: check client_id=, client_secret= and what else"
            raise UpstreamRefused(said, status=answer.status, body=answer.body)
        return token


def credentials(
    name: str, token: str | Secret, url: str, grant: str, terms: Terms, **secrets: str | Secret
) -> Credentials:
    """``token``, or without one such as are fetched.

    Parameters:
        name, url, terms: as for `OAuth`.
        grant: the type of the grant.
        secrets: that it is made of, by the names that are both our options and fields of OAuth's.

    Raises:
        DeclarationError: one is not given; or the URL is none, or would be asked in the clear.
    """
    if token:
        return Fixed(revealed(token, f"{name}: token"))
    given = {key: revealed(value, f"{name}: {key}") for key, value in secrets.items()}
    return OAuth(name, url, {"grant_type": grant, **given}, terms)
