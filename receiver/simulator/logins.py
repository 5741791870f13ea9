"""Who may use the simulated API: accounts, and the tokens that they are given.

Rule 1: pure. The time and the randomness are passed in.
Rule 2: strict where the vendor says nothing: a refresh token works once, only where it was given
        (``/auth`` or ``/login/oauth``), and the access token before it stays good until its end.

Source: "Authentication" of the vendor's REST API, and ``/auth/sign_in`` of its OpenAPI file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Literal

from receiver.secrets import Secret
from receiver.simulator.schema import Json

Family = Literal["auth", "oauth"]
"""The two ways to sign in."""


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in; ``domain`` is empty for a system administrator."""

    username: str
    password: Secret
    domain: str = ""
    two_factor: bool = False


@dataclass(frozen=True, slots=True)
class _Grant:
    family: Family
    refresh: str
    ends: float


class Logins:
    """Accounts and tokens.

    Parameters:
        accounts: those that may sign in.
        token: one access token that is always good; empty for none.
        new_token: gives a token that was never given before.
    """

    def __init__(
        self, accounts: Iterable[Account], token: Secret, new_token: Callable[[], str]
    ) -> None:
        self._accounts = tuple(accounts)
        self._fixed = token
        self._new_token = new_token
        self._grants: dict[str, _Grant] = {}

    def find(self, username: str, password: str, domain: str) -> Account | None:
        """The account that these belong to, None if there is none."""
        for account in self._accounts:
            if (account.username, account.domain) == (username, domain):
                return account if account.password == Secret(password) else None
        return None

    def issue(self, family: Family, life: int, now: float) -> Json:
        """New tokens, as the API gives them, that are good for ``life`` seconds."""
        self._grants = {a: g for a, g in self._grants.items() if g.refresh or now < g.ends}
        access, refresh = self._new_token(), self._new_token()
        self._grants[access] = _Grant(family, refresh, now + life)
        return {
            "token_type": "Bearer",
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": life,
        }

    def refresh(self, token: str, family: Family, life: int, now: float) -> Json | None:
        """New tokens for a refresh token, None if it is not good."""
        for access, grant in self._grants.items():
            if grant.family == family and token and grant.refresh == token:
                self._grants[access] = _Grant(family, "", grant.ends)
                return self.issue(family, life, now)
        return None

    def accepts(self, token: str, now: float) -> bool:
        """Whether an access token is good."""
        if self._fixed and self._fixed == Secret(token):
            return True
        grant = self._grants.get(token)
        return grant is not None and now < grant.ends

    def revoke(self, token: str) -> None:
        """End an access token and its refresh token. The token that is always good stays."""
        self._grants.pop(token, None)
