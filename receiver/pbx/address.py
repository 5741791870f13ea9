"""The URL of a PBX, and the verification of its certificate.

Rule 1: a URL with a password is refused; errors do not repeat the URL.
Rule 2: certificates are verified, against the system's roots or a CA file, unless ``insecure``.
Rule 3: a certificate without a subjectAltName matches no host name. It is accepted if the CA file
        contains it: then the owner of its private key is the PBX.

Source: "About" of the PBX's REST API, for the base URL. A PBX's first certificate is self-signed.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path

import httpx

from receiver.errors import SettingsError
from receiver.pbx.api_errors import NamedCertificate, NamelessCertificate

_PEM = re.compile("-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def normalise(url: str) -> str:
    """Return the base of the PBX's API for ``url``, without a trailing slash.

    Raises:
        SettingsError: it cannot be the URL of a PBX. The text does not repeat it, because it may
            contain a password.
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
    """Return the TLS context; ``ca`` is a PEM file, None for the system's roots.

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
    # The file may contain only the PBX's own certificate: it need not be self-signed, nor be
    # marked as a CA.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def pinned(ca: Path) -> ssl.SSLContext:
    """Return the TLS context for a host whose certificate has no subjectAltName.

    Its certificate has to be in ``ca``, a PEM file. The handshake raises `NamelessCertificate` if
    it is not, and `NamedCertificate` if it has a subjectAltName.
    """
    context = tls(ca, insecure=False)
    blocks = _PEM.findall(ca.read_text("latin-1"))
    pins = {ssl.PEM_cert_to_DER_cert(block) for block in blocks}

    class Pinned(ssl.SSLObject):
        def do_handshake(self) -> None:
            super().do_handshake()
            if "subjectAltName" in (self.getpeercert() or {}):
                raise NamedCertificate(1, "the certificate has a subjectAltName")
            if self.getpeercert(binary_form=True) not in pins:
                raise NamelessCertificate(1, "the certificate has no subjectAltName")

    context.check_hostname = False
    context.sslobject_class = Pinned
    return context
