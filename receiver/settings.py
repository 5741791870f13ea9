"""What an installation decides: the RECEIVER_* variables, and nothing else reads them.

The environment wins over the file ``.env`` in the working directory.

Where one app serves several PBXs, each may have its own of `OF_A_PBX`: for ``Ivr("8000",
pbx="north")`` RECEIVER_NORTH_PBX_URL wins over RECEIVER_PBX_URL, RECEIVER_NORTH_PUBLIC_URL over
RECEIVER_PUBLIC_URL, and so on. Half an account of one PBX is never sent to another.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Self

from dotenv import dotenv_values

from receiver.auth.sources import Network
from receiver.errors import SettingsError
from receiver.secrets import MINIMUM, Secret
from receiver.variables import PARSERS

PREFIX = "RECEIVER_"
OF_A_PBX = (
    "public_url",
    "allowed_sources",
    "pbx_url",
    "pbx_token",
    "pbx_username",
    "pbx_password",
    "pbx_domain",
    "pbx_ca",
    "pbx_insecure",
)
"""What each of several PBXs may have for itself."""

_LOGIN = ("pbx_token", "pbx_username", "pbx_password")  # taken over from the common ones whole,
_TRUST = ("pbx_ca", "pbx_insecure")  # or not at all; so is this
_OF_A_PBX = re.compile(rf"{PREFIX}([A-Z][A-Z0-9]{{0,15}})_.+")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, typed. `Settings.read` fills them from the environment.

    Attributes:
        secret: what all credentials are derived from; at least 16 characters.
        epoch: which generation of credentials the PBX has; those of the next one are accepted too,
            so that ``receiver rotate`` can move the PBX over.
        public_url: where the PBX reaches this service, such as ``https://ivr.example.com/calls``.
        allowed_sources: where callbacks may come from: addresses and networks of the PBX and of
            its IVR servers; empty lets every source ask.
        trusted_proxies: proxies that are believed when they say where a callback came from.
        store: what workers and machines share, such as which nonces were used: a path of a file
            for those of one machine, ``redis://…`` for several; empty for one process alone.
        after: where durable work after the answer is kept: as for ``store``, but what lies there
            must outlive the machine's next start; by default a file in the working directory.
        pbx_url: the PBX's REST API, such as ``https://pbx.example.com:8887``.
        pbx_token: a bearer token for it; or
        pbx_username, pbx_password, pbx_domain: an account to sign in with; the domain is the
            tenant's SIP domain.
        pbx_ca: a file with the certificate (of the authority) that the PBX shows.
        pbx_insecure: do not verify the PBX's certificate at all.
        guard: ``receiver serve`` keeps a guard, as ``receiver guard`` is one, beside its workers.
        margin: seconds of each request_timeout that are kept for the way there and back.
        threads: how many plain (not async) handlers may run at once.
        worker_memory: MiB past which ``receiver serve`` exchanges a worker; 0 for no limit.
        log_caller_data: show digits, numbers, names and exception texts in the log.
        log_format: how ``receiver serve`` writes its log: for ``"people"``, or ``"json"``.
        metrics: answer at ``/metrics`` to whoever has the token that ``receiver metrics`` prints.
        metrics_folder: where the workers of one machine add up their metrics; None for one worker.
        tracing: make a span of each callback (OpenTelemetry).
        console: where the console in production listens, as in ``127.0.0.1:8001``; empty for none.
        record: the folder in which callbacks are recorded, for ``receiver replay``; None for none.
        record_caller_data: show digits, numbers and names there.
        record_megabytes: that all files in it may have together.
    """

    secret: Secret = Secret("")
    epoch: int = 1
    public_url: str = ""
    allowed_sources: tuple[Network, ...] = ()
    trusted_proxies: tuple[Network, ...] = ()
    store: Secret = Secret("")
    after: Secret = Secret("")
    pbx_url: str = ""
    pbx_token: Secret = Secret("")
    pbx_username: str = ""
    pbx_password: Secret = Secret("")
    pbx_domain: str = ""
    pbx_ca: Path | None = None
    pbx_insecure: bool = False
    guard: bool = False
    margin: float = 0.5
    threads: int = 32
    worker_memory: int = 0
    log_caller_data: bool = False
    log_format: str = "people"
    metrics: bool = False
    metrics_folder: Path | None = None
    tracing: bool = False
    console: str = ""
    record: Path | None = None
    record_caller_data: bool = False
    record_megabytes: int = 100

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        dotenv: Path | None = Path(".env"),
        *,
        pbx: str = "",
    ) -> Self:
        """Read the environment and a ``.env`` file.

        Parameters:
            environ: the environment, by default the process's own.
            dotenv: the file; None or a file that does not exist is passed over.
            pbx: the label of a PBX, whose own variables come first.

        Raises:
            SettingsError: a value cannot be used; the text names the variable, not the value.
        """
        found = environment(environ, dotenv)
        values = _parse(found, PREFIX, PARSERS)
        own = _parse(found, own_prefix(pbx), OF_A_PBX) if pbx else {}
        for group in (_LOGIN, _TRUST):
            if own.keys() & group:
                values = {name: value for name, value in values.items() if name not in group}
        return cls(**{**values, **own})

    def __post_init__(self) -> None:
        """What is set in code is checked too.

        Raises:
            SettingsError: the secret is too short, or the margin leaves no time.
        """
        if not isinstance(self.secret, Secret):
            raise SettingsError('the secret of Settings is a Secret, as in Secret("…")')
        if self.secret and len(self.secret.reveal()) < MINIMUM:
            raise SettingsError(
                f"RECEIVER_SECRET has {len(self.secret.reveal())} characters and needs at least "
                f"{MINIMUM}: {_CURES['secret']}"
            )
        if not 0 <= self.margin < 1:
            raise SettingsError("RECEIVER_MARGIN is not a number of seconds from 0 to below 1")

    def need(self, *names: str) -> Self:
        """Itself, if the fields named are all set.

        Raises:
            SettingsError: one is not; the text says which variable, and how to make it.
        """
        for name in names:
            if not getattr(self, name):
                raise SettingsError(f"{PREFIX}{name.upper()} is not set: {_CURES[name]}")
        return self


def environment(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> dict[str, str | None]:
    """The variables of the environment, and of the ``.env`` file those that it does not have.

    Parameters and errors as for `Settings.read`.
    """
    found = _dotenv(dotenv)
    found.update(os.environ if environ is None else environ)
    return found


def unknown_settings(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that look like a misspelt setting, each with the one probably meant."""
    common = [PREFIX + field.name.upper() for field in fields(Settings)]
    guesses: dict[str, str] = {}
    for key in (key for key in environ if key.startswith(PREFIX)):
        label = _OF_A_PBX.fullmatch(key)
        own = [own_prefix(label[1]) + name.upper() for name in OF_A_PBX] if label else []
        known = [*common, *own]
        if key not in known and (near := difflib.get_close_matches(key, known, 1, 0.85)):
            guesses[key] = near[0]
    return guesses


def own_prefix(pbx: str) -> str:
    """What the variables begin with that are only for the PBX of this label."""
    return f"{PREFIX}{pbx.upper()}_"


def _parse(found: Mapping[str, str | None], prefix: str, names: Iterable[str]) -> dict[str, Any]:
    """The values of those variables that are set."""
    return {
        name: PARSERS[name](prefix + name.upper(), _printable(prefix + name.upper(), text))
        for name in names
        if (text := found.get(prefix + name.upper()))
    }


def _dotenv(path: Path | None) -> dict[str, str | None]:
    if path is None or not path.is_file():
        return {}
    try:
        return dict(dotenv_values(path, encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{path} cannot be read as text in UTF-8: save it so") from None


def _printable(variable: str, text: str) -> str:
    """``text`` without outer spaces.

    Octets that are no UTF-8 arrive from the environment as surrogates, which nothing can send.
    """
    if not text.strip().isprintable():
        raise SettingsError(f"{variable} holds control characters or is not UTF-8")
    return text.strip()


_CURES = {
    "secret": (
        "make one with  python3 -c 'import secrets; print(secrets.token_hex(32))'  "
        "and give the same to every worker and machine"
    ),
    "public_url": "set it to where the PBX reaches this service, as in https://ivr.example.com",
    "pbx_url": "set it to the PBX's REST API, as in https://pbx.example.com:8887",
}
