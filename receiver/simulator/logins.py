"""Accounts of the simulated API, and their tokens.

Rule 1: pure. Time and randomness are passed in.
Rule 2: strict where it is not documented: a refresh token works once, only with the sign-in method
        that issued it, and the access token before it stays valid until it expires.
Rule 3: a system administrator has no tenant, and works in one after choosing it.

Source: "Authentication" of the vendor's REST API, ``/auth`` and ``/tenants/switch`` of its OpenAPI
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from receiver.credentials import Secret
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.validation import Json

SignInMethod = Literal["auth", "oauth"]
"""The two sign-in methods."""

_MAY_ALL = ("Admin", "SystemAdmin")


@dataclass(frozen=True, slots=True)
class Account:
    """An account; ``domain`` is empty for a system administrator.

    ``role`` is one of the vendor's; empty for ``Admin`` of the tenant, or ``SystemAdmin``.
    """

    username: str
    password: Secret
    domain: str = ""
    two_factor: bool = False
    role: str = ""

    @property
    def is_system(self) -> bool:
        return not self.domain

    @property
    def role_name(self) -> str:
        return self.role or ("SystemAdmin" if self.is_system else "Admin")


@dataclass(frozen=True, slots=True)
class Grant:
    """The grant of an access token: its account, its expiry, and the chosen tenant."""

    account: Account
    method: SignInMethod
    refresh: str
    ends: float
    switched: bool = False

    @property
    def in_tenant(self) -> bool:
        """Whether it gives access to a tenant."""
        return self.switched or not self.account.is_system

    @property
    def may_all(self) -> bool:
        """Whether the role may read and change everything."""
        return self.account.role_name in _MAY_ALL


class Logins:
    """Accounts and tokens.

    Parameters:
        accounts: those that can sign in.
        token: an access token of a tenant's administrator that never expires; empty for none.
        new_token: returns a new token.
        behaviour: returns the current behaviour.
    """

    def __init__(
        self,
        accounts: Iterable[Account],
        token: Secret,
        new_token: Callable[[], str],
        behaviour: Callable[[], Behaviour],
    ) -> None:
        self._accounts = tuple(accounts)
        self._fixed = token
        self._new_token = new_token
        self._behaviour = behaviour
        self._grants: dict[str, Grant] = {}

    def find(self, username: str, password: str, domain: str) -> Account | None:
        """Return the account with these credentials, None if they are wrong."""
        for account in self._accounts:
            if (account.username, account.domain) == (username, domain):
                return account if account.password == Secret(password) else None
        return None

    def issue(
        self, account: Account, method: SignInMethod, now: float, *, switched: bool = False
    ) -> Json:
        """Return new tokens in the form of the API."""
        life = self._behaviour().token_life
        self._grants = {a: g for a, g in self._grants.items() if g.refresh or now < g.ends}
        access, refresh = self._new_token(), self._new_token()
        self._grants[access] = Grant(account, method, refresh, now + life, switched)
        return {
            "token_type": "Bearer",
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": life,
        }

    def refresh(self, token: str, method: SignInMethod, now: float) -> Json | None:
        """Return new tokens for a refresh token, None if it is invalid."""
        for access, grant in self._grants.items():
            if grant.method == method and token and grant.refresh == token:
                self._grants[access] = replace(grant, refresh="")
                switched = grant.switched and self._behaviour().switch_lasts == "session"
                return self.issue(grant.account, method, now, switched=switched)
        return None

    def accepts(self, token: str, now: float) -> Grant | None:
        """Return the grant of an access token; None if it is invalid."""
        if self._fixed and self._fixed == Secret(token):
            return Grant(Account("token", Secret(""), "tenant"), "auth", "", now)
        grant = self._grants.get(token)
        return grant if grant is not None and now < grant.ends else None

    def is_system(self, token: str) -> bool:
        """Return whether an access token is a system administrator's."""
        grant = self._grants.get(token)
        return grant is not None and grant.account.is_system

    def switch(self, token: str) -> None:
        """Switch a system administrator's token to the tenant."""
        self._grants[token] = replace(self._grants[token], switched=True)

    def revoke(self, token: str) -> None:
        """Revoke an access token and its refresh token; the one that never expires is kept."""
        self._grants.pop(token, None)
