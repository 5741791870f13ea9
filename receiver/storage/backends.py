"""The backends, by the URLs of settings such as RECEIVER_STORE.

Nothing (one worker, its own memory), a path (the workers of one machine, SQLite files) or a URL of
a registered scheme (several machines). A new backend is one class and one entry in `URL_SCHEMES`.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.storage.auth_fallback import AuthFallback
from receiver.storage.breaker import REQUEST_TIMEOUT, SETTING
from receiver.storage.memory import Memory, MemoryAuth
from receiver.storage.protocols import AuthStore, Backend
from receiver.storage.sqlite import Sqlite


class Registered(NamedTuple):
    """A registered backend and its URL scheme.

    Attributes:
        module, name: of the class, which takes the URL, the name of the setting, and as ``limit``
            the seconds for a request.
        package: the module that it needs; slow to import, so only where it is named.
        extra: of ``portsip-receiver``, which installs that package.
    """

    module: str
    name: str
    package: str
    extra: str

    def open(self, url: Secret, setting: str, limit: float) -> Backend:
        """Return the backend.

        Raises:
            SettingsError: its package is not installed.
        """
        try:
            importlib.import_module(self.package)
        except ImportError:
            raise SettingsError(
                f"{setting} names a {self.name}, for which a package is missing: "
                f"pip install 'portsip-receiver[{self.extra}]'"
            ) from None
        opener: Callable[..., Backend]
        opener = getattr(importlib.import_module(self.module), self.name)
        return opener(url, setting, limit=limit)


REDIS = Registered("receiver.storage.redis", "Redis", "redis.asyncio", "redis")
URL_SCHEMES = {"redis://": REDIS, "rediss://": REDIS, "unix://": REDIS}

_URL = re.compile(r"[A-Za-z0-9+.-]*:")  # of a URL, and of what SQLite takes for one


def open_backend(
    where: Secret, setting: str = SETTING, *, limit: float = REQUEST_TIMEOUT
) -> Backend:
    """Return the backend that ``where`` names; nothing is opened or connected to yet.

    Parameters:
        where: empty, a path, or a URL, which may hold a password.
        setting: the variable that holds it, for the text of errors.
        limit: seconds for a request to a shared store.

    Raises:
        SettingsError: the value can never work (an unknown scheme, a package that is missing). A
            store that is unavailable does not raise: it does not stop the service.
    """
    text = where.reveal()
    if not text:
        return Memory(setting)
    for scheme, registered in URL_SCHEMES.items():
        if text.lower().startswith(scheme):
            return registered.open(where, setting, limit)
    if _URL.match(text):
        raise SettingsError(
            f"{setting} is neither the path of a file nor a URL that begins with "
            + ", ".join(URL_SCHEMES)
        )
    try:
        return Sqlite(Path(text).expanduser().absolute(), setting, limit)
    except RuntimeError:  # an unknown user's home directory
        raise SettingsError(f"{setting} begins with a ~ that stands for nothing here") from None


def open_auth_store(where: Secret, *, life: float, limit: float = REQUEST_TIMEOUT) -> AuthStore:
    """Return the store that RECEIVER_STORE names; a shared one is wrapped in an `AuthFallback`.

    Parameters:
        where: as for `open_backend`.
        life: seconds for which a nonce is valid.
        limit: seconds for a request to a shared store.

    Raises:
        SettingsError: as for `open_backend`, or redis-py cannot read the URL.
    """
    backend = open_backend(where, limit=limit)
    store = backend.auth(life=life)
    if isinstance(store, MemoryAuth):
        return store
    return AuthFallback(store, backend.name, MemoryAuth(life=life), limit=limit)
