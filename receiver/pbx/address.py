"""Where a PBX is, and whether it is the one: its URL, and the certificate it shows.

Rule 1: a URL holds no password; texts about it do not repeat it.
Rule 2: certificates are checked, against the system's roots or a CA file. Not to check them has to
        be said aloud.

Source: "About" of the PBX's REST API, for the base URL. A PBX's first certificate is self-signed.
"""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx

from receiver.errors import SettingsError


def normalise(url: str) -> str:
    """The base of the PBX's API for ``url``, without a slash at its end.

    Raises:
        SettingsError: it is no URL of a PBX. The text does not repeat it, for it may hold a
            password.
    """
    advice = "RECEIVER_PBX_URL should look like https://pbx.example.com:8887"
    try:
        parsed = httpx.URL(url.strip())
    except httpx.InvalidURL:
        raise SettingsError(f"the PBX's URL cannot be read: {advice}") from None
    if parsed.scheme not in ("http", "https") or not parsed.host:
        raise SettingsError(f"the PBX's URL needs https:// and a host: {advice}")
    if parsed.userinfo:
        raise SettingsError(f"the PBX's URL holds a user name or password: {advice}")
    if parsed.query or parsed.fragment:
        raise SettingsError(f"the PBX's URL holds a ? or #: {advice}")
    return str(parsed.copy_with(path=parsed.path.rstrip("/") or "/api"))


def tls(ca: Path | None, insecure: bool) -> ssl.SSLContext:
    """How to speak TLS: ``ca`` is a PEM file, None for the system's roots.

    Raises:
        SettingsError: the file cannot be used.
    """
    if insecure:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    if ca is None:
        return ssl.create_default_context()
    try:
        context = ssl.create_default_context(cafile=ca)
    except (OSError, ValueError):  # a broken file is an SSLError, which is an OSError
        raise SettingsError(
            f"RECEIVER_PBX_CA names {ca}, which cannot be read as a PEM file with certificates"
        ) from None
    # The PBX's own certificate may be all there is: it need not be signed by itself, nor be
    # marked as a CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context
