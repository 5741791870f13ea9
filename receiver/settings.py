"""The settings of an installation: the RECEIVER_* variables, which only this module reads.

The environment wins over the file ``.env`` in the working directory.

Where one app serves several PBXs, each may have its own of `OF_A_PBX`: for ``Ivr("8000",
pbx="north")`` RECEIVER_NORTH_PBX_URL wins over RECEIVER_PBX_URL, RECEIVER_NORTH_PUBLIC_URL over
RECEIVER_PUBLIC_URL, and so on. Credentials are taken as a whole from one or the other, so that no
part of one PBX's account is sent to another.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal, Self

from dotenv import dotenv_values

from receiver.auth.client_address import HostName, Network
from receiver.credentials import Secret, problem_of_variable
from receiver.errors import SettingsError
from receiver.phone_numbers.numbers import NumberFormat
from receiver.settings_parsers import HOW_TO_CREATE, PARSERS, service_secret

PREFIX = "RECEIVER_"
OF_A_PBX = (
    "public_url",
    "allowed_sources",
    "pbx_url",
    "pbx_token",
    "pbx_username",
    "pbx_password",
    "pbx_domain",
    "pbx_tenant",
    "pbx_ca",
    "pbx_insecure",
    "pbx_version",
    "number_format",
)
"""The settings that can differ between several PBXs."""

# Groups of settings that a PBX takes from the common ones together or not at all.
_LOGIN = ("pbx_token", "pbx_username", "pbx_password")
_TRUST = ("pbx_ca", "pbx_insecure")
_TENANT = ("pbx_domain", "pbx_tenant")
_OF_A_PBX = re.compile(rf"{PREFIX}([A-Z][A-Z0-9]{{0,15}})_.+")


@dataclass(frozen=True, slots=True)
class Settings:
    """All settings, typed. `Settings.read` reads them from the environment. ::

        app = Receiver(settings=Settings(secret=Secret(token_hex(32)), margin=0.3))

    Attributes:
        secret: the key from which all credentials are derived: 16 random bytes or more, as
            hexadecimal, base64 or the like; one that could be guessed is refused.
        epoch: the generation of credentials on the PBX; the next one is accepted too.
        public_url: the URL at which the PBX reaches this service, such as ``https://ivr.example.com/calls``.
        allowed_sources: the client addresses that may send callbacks: addresses, networks and host
            names of the PBX and of its IVR servers; empty allows all.
        trusted_proxies: proxies whose ``X-Forwarded-For`` or ``Forwarded`` header is trusted;
            ``"unix"`` for one on a Unix socket.
        store: the store that processes share (used nonces, sessions): the path of a file for the
            workers of one machine, ``redis://…`` for several; empty for the memory of one process.
        jobs: the queue of durable background jobs: as for ``store``, but on storage that survives
            a restart of the machine; by default a file in the working directory.
        pbx_url: the URL of the PBX's REST API, such as ``https://pbx.example.com:8887``.
        pbx_token: a bearer token for it; or
        pbx_username, pbx_password, pbx_domain: an account to sign in with; the domain is the
            tenant's SIP domain, and empty for a system administrator.
        pbx_tenant: the id of the tenant in which a system administrator works.
        pbx_ca: a file with the certificate of the PBX or of its certificate authority.
        pbx_insecure: do not verify the PBX's certificate at all.
        pbx_version: the PBX's release, such as ``22.2``, whose rules apply to requests; empty
            applies those of the newest release, with warnings.
        number_format: the format of callers' numbers from the trunk, see
            `receiver.phone_numbers.numbers.NumberFormat`.
        guard: ``receiver serve`` runs ``receiver guard`` next to its workers.
        margin: seconds of each request_timeout that are kept for the network.
        threads: the number of plain (not async) handlers that can run at the same time.
        handover: while an event loop is blocked, another worker takes over its connections.
        worker_memory: MiB above which ``receiver serve`` replaces a worker; 0 for no limit.
        log_caller_data: log digits, numbers, names and exception texts unmasked.
        log_format: the format of the log of ``receiver serve``: ``"text"`` or ``"json"``.
        metrics: serve ``/metrics`` to clients with the token that ``receiver metrics`` prints.
        metrics_folder: the folder in which workers sum their metrics; None for one worker.
        tracing: create a span for each callback (OpenTelemetry).
        console: the address of the production console, as in ``127.0.0.1:8001``; empty for none.
        record: the folder for recordings of callbacks, see ``receiver replay``; None for none.
        record_caller_data: record digits, numbers and names unmasked.
        record_fields: names of fields in answers of other services whose values are recorded.
        record_megabytes: the maximum size of all recordings together.
        voice_command: the command that speaks a `receiver.Speech`, see ``receiver guide prompts``.
        voice_model: the ``.onnx`` file of a piper voice, or a folder of several.
    """

    secret: Secret = Secret("")
    epoch: int = 1
    public_url: str = ""
    allowed_sources: tuple[Network | HostName, ...] = ()
    trusted_proxies: tuple[Network | Literal["unix"], ...] = ()
    store: Secret = Secret("")
    jobs: Secret = Secret("")
    pbx_url: str = ""
    pbx_token: Secret = Secret("")
    pbx_username: str = ""
    pbx_password: Secret = Secret("")
    pbx_domain: str = ""
    pbx_tenant: str = ""
    pbx_ca: Path | None = None
    pbx_insecure: bool = False
    pbx_version: str = ""
    number_format: NumberFormat = "automatic"
    guard: bool = False
    margin: float = 0.5
    threads: int = 32
    handover: bool = True
    worker_memory: int = 0
    log_caller_data: bool = False
    log_format: str = "text"
    metrics: bool = False
    metrics_folder: Path | None = None
    tracing: bool = False
    console: str = ""
    record: Path | None = None
    record_caller_data: bool = False
    record_fields: tuple[str, ...] = ()
    record_megabytes: int = 100
    voice_command: tuple[str, ...] = ()
    voice_model: Path | None = None

    @classmethod
    def read(
        cls,
        environ: Mapping[str, str] | None = None,
        dotenv: Path | None = Path(".env"),
        *,
        pbx: str = "",
        needed: Iterable[str] = (),
    ) -> Self:
        """Read the environment and a ``.env`` file.

        Parameters:
            environ: the environment, by default that of the process.
            dotenv: the file; None or a missing file is ignored.
            pbx: the label of a PBX, whose variables take precedence.
            needed: the settings that must be set, as for `need`.

        Raises:
            SettingsError: values are invalid or missing; the text has a line for each, which names
                the variable, not the value.
        """
        found = environment(environ, dotenv)
        wrong: list[tuple[str, str]] = []
        values = _parse(found, PREFIX, PARSERS, wrong)
        own = _parse(found, own_prefix(pbx), OF_A_PBX, wrong) if pbx else {}
        for group in (_LOGIN, _TRUST, _TENANT):
            if own.keys() & group:
                values = {name: value for name, value in values.items() if name not in group}
        if own.keys() & _LOGIN:  # another account does not know the id of this tenant
            values.pop("pbx_tenant", None)
        settings = cls(**{**values, **own})
        missing = settings._missing(set(needed) - {name for name, _ in wrong})
        if problems := [*(text for _, text in wrong), *missing]:
            raise SettingsError(*dict.fromkeys(problems))
        return settings

    def __post_init__(self) -> None:
        """Check the values that code may have set.

        Raises:
            SettingsError: the secret can be guessed, or the margin leaves no time.
        """
        if not isinstance(self.secret, Secret):
            raise SettingsError('the secret of Settings must be a Secret, as in Secret("…")')
        if self.secret:
            service_secret("RECEIVER_SECRET", self.secret.reveal())
        if not 0 <= self.margin < 1:
            raise SettingsError("RECEIVER_MARGIN is not a number of seconds from 0 to less than 1")

    def need(self, *names: str) -> Self:
        """Return the settings if all of ``names`` are set.

        Parameters:
            names: fields; ``"pbx_account"`` is a token for the PBX, or a user name and a password.

        Raises:
            SettingsError: some are not; the text has a line for each, which says how to set it.
        """
        if missing := self._missing(set(names)):
            raise SettingsError(*missing)
        return self

    def _missing(self, names: Set[str]) -> list[str]:
        return [text for name, text in MISSING.items() if name in names and not self._has(name)]

    def _has(self, name: str) -> bool:
        if name == "pbx_account":
            return bool(self.pbx_token or (self.pbx_username and self.pbx_password))
        return bool(getattr(self, name))


def environment(
    environ: Mapping[str, str] | None = None, dotenv: Path | None = Path(".env")
) -> dict[str, str | None]:
    """Return the variables of the ``.env`` file, overridden by those of the environment.

    Parameters and errors as for `Settings.read`.
    """
    found = _dotenv(dotenv)
    found.update(os.environ if environ is None else environ)
    return found


def unknown_settings(environ: Iterable[str]) -> dict[str, str]:
    """Return variables that look like a misspelt setting, each with the most similar setting."""
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
    """Return the prefix of the variables for the PBX with this label."""
    return f"{PREFIX}{pbx.upper()}_"


def _parse(
    found: Mapping[str, str | None],
    prefix: str,
    names: Iterable[str],
    wrong: list[tuple[str, str]],
) -> dict[str, Any]:
    """Return the values of the variables that are set.

    Parameters:
        found: the variables.
        prefix: of the variables.
        names: of the settings.
        wrong: gets the name and the problem of each setting whose value is invalid.
    """
    values: dict[str, Any] = {}
    for name in names:
        variable = prefix + name.upper()
        if text := found.get(variable):
            try:
                values[name] = PARSERS[name](variable, _printable(variable, text))
            except SettingsError as error:
                wrong.append((name, str(error)))
    return values


def _dotenv(path: Path | None) -> dict[str, str | None]:
    if path is None or not path.is_file():
        return {}
    try:
        return dict(dotenv_values(path, encoding="utf-8-sig"))
    except (OSError, UnicodeDecodeError):
        raise SettingsError(f"{path} is not text in UTF-8: save it in that encoding") from None


def _printable(variable: str, text: str) -> str:
    """Return ``text`` without outer spaces; quotes around it are an error.

    Bytes that are not UTF-8 are surrogates in the environment, which cannot be encoded.
    """
    if not text.strip().isprintable():
        raise SettingsError(f"{variable} contains control characters or is not UTF-8")
    if problem := problem_of_variable(text.strip()):
        raise SettingsError(f"{variable} {problem}")
    return text.strip()


MISSING = {
    "secret": f"RECEIVER_SECRET is not set: {HOW_TO_CREATE}",
    "public_url": (
        "RECEIVER_PUBLIC_URL is not set: set it to the URL at which the PBX reaches this service, "
        "as in https://ivr.example.com"
    ),
    "pbx_url": (
        "RECEIVER_PBX_URL is not set: set it to the URL of the PBX's REST API, as in "
        "https://pbx.example.com:8887"
    ),
    "pbx_account": (
        "the PBX needs a token or an account: set RECEIVER_PBX_TOKEN, or RECEIVER_PBX_USERNAME "
        "and RECEIVER_PBX_PASSWORD (and RECEIVER_PBX_DOMAIN, the tenant's SIP domain, or for a "
        "system administrator RECEIVER_PBX_TENANT, the tenant's id)"
    ),
}
"""The problem and its cure, for each setting that `Settings.need` accepts."""
