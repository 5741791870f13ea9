"""Who may use the simulated API: accounts, and the tokens that they are given.

Rule 1: pure. The time and the randomness are passed in.
Rule 2: strict where the vendor says nothing: a refresh token works once, only where it was given
        (``/auth`` or ``/login/oauth``), and the access token before it stays good until its end.
Rule 3: a system administrator belongs to no tenant, and works in one after choosing it.

Source: "Authentication" of the vendor's REST API, ``/auth`` and ``/tenants/switch`` of its OpenAPI
file.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

from receiver.secrets import Secret
from receiver.simulator.behaviour import Behaviour
from receiver.simulator.schema import Json

Family = Literal["auth", "oauth"]
"""The two ways to sign in."""

_MAY_ALL = ("Admin", "SystemAdmin")


@dataclass(frozen=True, slots=True)
class Account:
    """Who may sign in; ``domain`` is empty for a system administrator.

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
    """What a token is good for: until when, for whom, and in which tenant if not in their own."""

    account: Account
    family: Family
    refresh: str
    ends: float
    switched: bool = False

    @property
    def in_tenant(self) -> bool:
        """Whether it is good for what belongs to a tenant."""
        return self.switched or not self.account.is_system

    @property
    def may_all(self) -> bool:
        """Whether the role allows to read and change everything."""
        return self.account.role_name in _MAY_ALL


class Logins:
    """Accounts and tokens.

    Parameters:
        accounts: those that may sign in.
        token: one access token of a tenant's administrator that is always good; empty for none.
        new_token: gives a token that was never given before.
        behaviour: gives the behaviour that counts at this moment.
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
        """The account that these belong to, None if there is none."""
        for account in self._accounts:
            if (account.username, account.domain) == (username, domain):
                return account if account.password == Secret(password) else None
        return None

    def issue(
        self, account: Account, family: Family, now: float, *, switched: bool = False
    ) -> Json:
        """New tokens, as the API gives them."""
        life = self._behaviour().token_life
        self._grants = {a: g for a, g in self._grants.items() if g.refresh or now < g.ends}
        access, refresh = self._new_token(), self._new_token()
        self._grants[access] = Grant(account, family, refresh, now + life, switched)
        return {
            "token_type": "Bearer",
            "access_token": access,
            "refresh_token": refresh,
            "expires_in": life,
        }

    def refresh(self, token: str, family: Family, now: float) -> Json | None:
        """New tokens for a refresh token, None if it is not good."""
        for access, grant in self._grants.items():
            if grant.family == family and token and grant.refresh == token:
                self._grants[access] = replace(grant, refresh="")
                switched = grant.switched and self._behaviour().switch_lasts == "session"
                return self.issue(grant.account, family, now, switched=switched)
        return None

    def accepts(self, token: str, now: float) -> Grant | None:
        """What an access token is good for; None if it is not good."""
        if self._fixed and self._fixed == Secret(token):
            return Grant(Account("token", Secret(""), "tenant"), "auth", "", now)
        grant = self._grants.get(token)
        return grant if grant is not None and now < grant.ends else None

    def is_system(self, token: str) -> bool:
        """Whether a good access token is a system administrator's."""
        grant = self._grants.get(token)
        return grant is not None and grant.account.is_system

    def switch(self, token: str) -> None:
        """Have a system administrator's token work in the tenant."""
        self._grants[token] = replace(self._grants[token], switched=True)

    def revoke(self, token: str) -> None:
        """End an access token and its refresh token. The token that is always good stays."""
        self._grants.pop(token, None)
