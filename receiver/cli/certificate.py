"""The certificate of the service: TLS 1.2 or newer, with Python's own choice of ciphers."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import ssl
from pathlib import Path

from receiver.errors import SettingsError

log = logging.getLogger("receiver")


def secured(certfile: Path, keyfile: Path | None = None) -> ssl.SSLContext:
    """Return a TLS context with a certificate chain and its key, in PEM.

    Parameters:
        keyfile: the key; None if it is in ``certfile`` too.

    Raises:
        SettingsError: a file cannot be read or is not PEM, or the key is encrypted or does not
            belong to the certificate.
    """
    keyfile = keyfile or certfile
    for path, what, label in (
        (certfile, "certificate", b"-----BEGIN CERTIFICATE-----"),
        (keyfile, "private key", b"PRIVATE KEY-----"),
    ):
        try:
            found = label in path.read_bytes()
        except OSError as error:
            raise SettingsError(f"cannot read {path}: {error.strerror}") from None
        if not found:
            raise SettingsError(f"{path} has no {what} in PEM")

    def encrypted() -> str:
        raise SettingsError(
            f"the key in {keyfile} is encrypted, which is not supported: write an unencrypted one, "
            "readable by the service only, with: openssl pkey -in KEY -out PLAIN"
        )

    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    try:
        context.load_cert_chain(certfile, keyfile, encrypted)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise SettingsError(f"the key in {keyfile} does not match {certfile}") from None
        raise SettingsError(
            f"{certfile} and {keyfile} cannot be used: {error.reason or 'broken PEM'}"
        ) from None
    return context


class Certificate:
    """A TLS context that is reloaded when its files change; parameters as for `secured`."""

    def __init__(self, certfile: Path, keyfile: Path | None = None) -> None:
        self.context = secured(certfile, keyfile)
        self._files = (certfile, keyfile or certfile)
        self._seen = self._stamp()

    async def watch(self, every: float = 10.0) -> None:
        """Reload the files when they change, checked ``every`` few seconds, until cancelled."""
        while True:
            await asyncio.sleep(every)
            with contextlib.suppress(OSError):  # they are being replaced
                if await asyncio.to_thread(self._has_changed):
                    self.context.load_cert_chain(*self._files)  # for handshakes from now on
                    log.info("certificate reloaded from %s", self._files[0])

    def _stamp(self) -> list[tuple[int, int, int]]:
        found = [file.stat() for file in self._files]
        return [(one.st_mtime_ns, one.st_ino, one.st_size) for one in found]

    def _has_changed(self) -> bool:
        """Return whether the files have changed and are valid."""
        stamp = self._stamp()
        if stamp == self._seen:
            return False
        self._seen = stamp
        try:
            secured(*self._files)
        except SettingsError as error:
            log.error("certificate not reloaded: %s", error)
            return False
        return True
