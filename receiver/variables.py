"""How the text of each RECEIVER_* variable becomes a value.

Rule: an error names the variable, and what it takes; its text is repeated only where it is no
      secret and cannot be one.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from receiver.auth.sources import Network, read_networks
from receiver.errors import SettingsError
from receiver.secrets import Secret

_HOST = re.compile(
    r"(?:[A-Za-z0-9_](?:[A-Za-z0-9_.-]*[A-Za-z0-9_])?|\[[0-9A-Fa-f:.]+\])(?::[0-9]+)?"
)
_SEGMENT = re.compile(r"(?!\.{1,2}$)[A-Za-z0-9._~-]+")
_TRUE, _FALSE = ("true", "1", "yes", "on"), ("false", "0", "no", "off")


def secret(variable: str, text: str) -> Secret:
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
            f"{variable} holds something that not every client can send: use a host name of ASCII "
            "letters, digits, - and . (or an address), and a path of letters, digits and -._~"
        )
    return text.rstrip("/")


def networks(variable: str, text: str) -> tuple[Network, ...]:
    try:
        found = read_networks(text)
        problem = "" if found else "there is none"  # which must not come to mean all of them
    except ValueError as error:
        problem = str(error)
    if problem:
        raise SettingsError(
            f"{variable}: {problem}; it takes addresses and networks, as in "
            "203.0.113.7, 198.51.100.0/24"
        )
    return found


def path(variable: str, text: str) -> Path:
    try:
        path = Path(text).expanduser()
        found = path.is_file()
    except (OSError, RuntimeError):  # a name too long, a home directory of nobody
        found = False
    if not found:
        raise SettingsError(f"{variable} names a file that does not exist: {text[:200]}")
    return path


def folder(variable: str, text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or not path.is_dir():
        raise SettingsError(f"{variable} is not the whole path of a folder that exists")
    return path


def choice(*known: str) -> Callable[[str, str], str]:
    def parse(variable: str, text: str) -> str:
        if text.lower() not in known:
            raise SettingsError(f"{variable} is none of {', '.join(known)}")
        return text.lower()

    return parse


def flag(variable: str, text: str) -> bool:
    if text.lower() in _TRUE + _FALSE:
        return text.lower() in _TRUE
    raise SettingsError(f"{variable} is neither true nor false")


def seconds(variable: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < 1:
        raise SettingsError(f"{variable} is not a number of seconds from 0 to below 1, as in 0.5")
    return value


def whole(highest: int) -> Callable[[str, str], int]:
    def parse(variable: str, text: str) -> int:
        if not (text.isascii() and text.isdigit() and 1 <= int(text[:9]) <= highest):
            raise SettingsError(f"{variable} is not a whole number from 1 to {highest}")
        return int(text)

    return parse


def listens(default: str) -> Callable[[str, str], str]:
    """True for ``default``, or an address and a port."""

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
    "secret": secret,
    "epoch": whole(1_000_000),
    "public_url": url,
    "allowed_sources": networks,
    "trusted_proxies": networks,
    "store": secret,
    "after": secret,
    "pbx_url": url,
    "pbx_token": secret,
    "pbx_username": text,
    "pbx_password": secret,
    "pbx_domain": text,
    "pbx_ca": path,
    "pbx_insecure": flag,
    "guard": flag,
    "margin": seconds,
    "threads": whole(1000),
    "worker_memory": whole(1_048_576),
    "log_caller_data": flag,
    "log_format": choice("people", "json"),
    "metrics": flag,
    "metrics_folder": folder,
    "tracing": flag,
    "console": listens("127.0.0.1:8001"),
    "record": folder,
    "record_caller_data": flag,
    "record_megabytes": whole(1_000_000),
}
"""By the name of the setting."""
