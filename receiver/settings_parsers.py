"""The parsers of RECEIVER_* variables.

Rule: an error names the variable and says what it accepts; it repeats the value only if that cannot
      be a secret.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args
from urllib.parse import urlsplit

from receiver.auth.client_address import read_allowed, read_proxies
from receiver.auth.entropy import is_guessable
from receiver.credentials import Secret
from receiver.errors import SettingsError
from receiver.phone_numbers.numbers import NumberFormat

_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
)
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
_VERSION = re.compile(r"[0-9]{1,3}\.[0-9]{1,3}(?:\.[0-9]{1,6}){0,2}")
HOW_TO_CREATE = (
    "create one with  python3 -c 'import secrets; print(secrets.token_hex(32))'  and use the same "
    "one for all workers and machines"
)
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def secret(variable: str, text: str) -> Secret:
    return Secret(text)


def service_secret(variable: str, text: str) -> Secret:
    """Return the secret from which all credentials are derived; one that could be guessed is
    refused."""
    if is_guessable(text):
        raise SettingsError(
            f"{variable} is too short or too regular and could be guessed: {HOW_TO_CREATE}"
        )
    return Secret(text)


def text(variable: str, text: str) -> str:
    return text


def url(variable: str, text: str) -> str:
    try:
        parts = urlsplit(text)
        good = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        good = False
    if not good:
        raise SettingsError(f"{variable} is not a URL such as https://host.example.com:8887")
    if parts.query or parts.fragment or "@" in parts.netloc or "?" in text:
        raise SettingsError(f"{variable} may have a path, but no user, password, ? or #")
    path = parts.path.strip("/").split("/") if parts.path.strip("/") else []
    if not _HOST.fullmatch(parts.netloc) or not all(map(_SEGMENT.fullmatch, path)):
        raise SettingsError(
            f"{variable} contains characters that some HTTP clients cannot send: use a host name "
            "of ASCII letters, digits, - and . (or an address), and a path of letters, digits, -._~"
        )
    return text.rstrip("/")


def networks(read: Callable[[str], tuple[Any, ...]], example: str) -> Callable[[str, str], Any]:
    """Return a parser of a list that ``read`` parses."""

    def parse(variable: str, text: str) -> tuple[Any, ...]:
        try:
            found = read(text)
            problem = "" if found else "it names no address"  # an empty list would allow all
        except ValueError as error:
            problem = str(error)
        if problem:
            raise SettingsError(f"{variable}: {problem}; it takes {example}")
        return found

    return parse


def names(variable: str, text: str) -> tuple[str, ...]:
    """Names, separated by commas."""
    return tuple(name.strip() for name in text.split(",") if name.strip())


def path(variable: str, text: str) -> Path:
    """Return the path of a file, which is not opened here."""
    try:
        return Path(text).expanduser()
    except RuntimeError:  # no such user
        raise SettingsError(f"{variable} starts with ~ of an unknown user") from None


def folder(variable: str, text: str) -> Path:
    """Return the absolute path of a folder; a relative one is in the working directory.

    It need not exist: a removed folder must not prevent a worker from starting.
    """
    return path(variable, text).absolute()


def command(variable: str, text: str) -> tuple[str, ...]:
    """Return the arguments of a command; a placeholder is a whole one of them."""
    known = ("{text_file}", "{out}", "{voice}")
    try:
        found = tuple(shlex.split(text))
    except ValueError:  # a quote is not closed
        found = ()
    if not found or any("{" in one and one not in known for one in found):
        raise SettingsError(
            f"{variable} is not a command such as  say-it --voice {{voice}} {{text_file}} {{out}}"
            "  in which each placeholder is a whole argument (no shell runs)"
        )
    return found


def choice(*known: str) -> Callable[[str, str], str]:
    def parse(variable: str, text: str) -> str:
        if text.lower() not in known:
            raise SettingsError(f"{variable} is not one of {', '.join(known)}")
        return text.lower()

    return parse


def flag(variable: str, text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise SettingsError(f"{variable} is neither true nor false")


def version(variable: str, text: str) -> str:
    if not _VERSION.fullmatch(text):
        raise SettingsError(f"{variable} is not the version of a PBX such as 22.2 or 22.6.3")
    return text


def seconds(variable: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise SettingsError(
            f"{variable} is not a number of seconds from 0 to less than 1, as in 0.5"
        )
    return value


def whole(highest: int) -> Callable[[str, str], int]:
    def parse(variable: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= highest):
            raise SettingsError(f"{variable} is not a whole number from 1 to {highest}")
        return int(text)

    return parse


def address(default: str) -> Callable[[str, str], str]:
    """Return a parser of an address with a port, or of true for ``default``."""

    def parse(variable: str, text: str) -> str:
        if text.lower() in _TRUE + _FALSE:
            return default if text.lower() in _TRUE else ""
        host, _, port = text.rpartition(":")
        if not (_HOST.fullmatch(text) and host and port.isdecimal() and int(port[:6]) <= 65535):
            raise SettingsError(
                f"{variable} is neither true nor false, nor an address such as {default}"
            )
        return text

    return parse


PARSERS: dict[str, Callable[[str, str], Any]] = {
    "secret": service_secret,
    "epoch": whole(1_000_000),
    "public_url": url,
    "allowed_sources": networks(
        read_allowed,
        "addresses, networks and host names, without scheme and port, as in 203.0.113.7, "
        "198.51.100.0/24, pbx.example.com",
    ),
    "trusted_proxies": networks(
        read_proxies, "addresses, networks and unix, as in 203.0.113.7, 198.51.100.0/24"
    ),
    "store": secret,
    "jobs": secret,
    "pbx_url": url,
    "pbx_token": secret,
    "pbx_username": text,
    "pbx_password": secret,
    "pbx_domain": text,
    "pbx_tenant": text,
    "pbx_ca": path,
    "pbx_insecure": flag,
    "pbx_version": version,
    "number_format": choice(*get_args(NumberFormat)),
    "guard": flag,
    "margin": seconds,
    "threads": whole(1000),
    "handover": flag,
    "worker_memory": whole(1_048_576),
    "log_caller_data": flag,
    "log_format": choice("text", "json"),
    "metrics": flag,
    "metrics_folder": folder,
    "tracing": flag,
    "console": address("127.0.0.1:8001"),
    "record": folder,
    "record_caller_data": flag,
    "record_fields": names,
    "record_megabytes": whole(1_000_000),
    "voice_command": command,
    "voice_model": path,
}
"""The parser of each setting."""
