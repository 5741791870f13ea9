"""Send a callback to an action URL as the PBX would, with a probe token: no handler runs.

Rule 1: the request is the one that the PBX sends (`receiver.pbx.callback_client`), with one more
        header.
Rule 2: `receiver.registration.diagnosis` interprets the answer.
"""

from __future__ import annotations

import asyncio
import re
import secrets
import ssl
import time
from collections.abc import Awaitable, Callable

import httpx
import msgspec

from receiver.auth.probe_token import HEADER, make_token
from receiver.calls import Call
from receiver.credentials import Secret
from receiver.errors import MaskError
from receiver.masks import Mask
from receiver.pbx.callback_client import CallbackClient, Delivery
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.diagnosis import (
    URL,
    Explanation,
    Trouble,
    diagnose,
    explanation,
    other_epoch,
)
from receiver.registration.findings import Finding
from receiver.registration.urls import parse, shown

FindProtocol = Callable[[str, int], Awaitable[str]]
"""Detects the protocol that a port of a host speaks, as `protocol_at` does."""

_PROTOCOL_TIMEOUT = 3.0  # seconds
_UNCLEAR = re.compile("^TLS: (?!the certificate)|not HTTP|broke off|cannot read the credentials")


def make_callback_client(transport: httpx.AsyncBaseTransport | None = None) -> CallbackClient:
    """Return a callback client that verifies certificates by this machine's authorities.

    Parameters:
        transport: replaces the network, for tests.
    """
    return CallbackClient(
        transport=transport,
        verify=True,
        scale=1.0,
        clock=time.perf_counter,
        cnonce=lambda: secrets.token_hex(16),
    )


async def probe(
    item: DesiredActionUrl,
    ivr: IvrSummary,
    secret: Secret,
    callbacks: CallbackClient,
    *,
    margin: float,
    now: float,
    epoch: int | None = None,
    protocol: FindProtocol | None = None,
) -> Finding:
    """Probe one action URL, or an event URL (`event_urls.as_action_url`), and return the result.

    Parameters:
        item: the action URL, with the credentials to send.
        ivr: its IVR.
        secret: of the service, for the probe token.
        callbacks: sends the request.
        margin: seconds after which a probe, which runs no handler, is too slow.
        now: seconds since the epoch, for the probe token.
        epoch: of the credentials of this command; None to ignore it.
        protocol: detects the protocol that a port speaks; None for no detection.
    """
    delivered = await send_probe(item, ivr, secret, callbacks, now=now)
    trouble = _diagnose(item, delivered, epoch)
    if trouble is None:
        return _ok(item, delivered, margin)
    return _fault(item, await _mismatch(item.action.url, trouble, protocol), delivered.seconds)


async def find_trouble(
    item: DesiredActionUrl,
    ivr: IvrSummary,
    secret: Secret,
    callbacks: CallbackClient,
    *,
    now: float,
    epoch: int,
    protocol: FindProtocol | None = None,
) -> Trouble | None:
    """Return why the service would refuse the PBX's callbacks to one action URL; None if not.

    This machine's address missing in ``RECEIVER_ALLOWED_SOURCES`` is no such reason if the service
    confirms secret and epoch. Parameters as for `probe`.
    """
    delivered = await send_probe(item, ivr, secret, callbacks, now=now)
    trouble = _diagnose(item, delivered, epoch)
    if trouble is None:
        return None
    said = explanation(delivered.exchanges[-1]) if delivered.exchanges else Explanation()
    if said.source and said.epoch is not None:
        return None if said.epoch == epoch else other_epoch(said.epoch, epoch)
    return await _mismatch(item.action.url, trouble, protocol)


async def send_probe(
    item: DesiredActionUrl,
    ivr: IvrSummary,
    secret: Secret,
    callbacks: CallbackClient,
    *,
    now: float,
) -> Delivery:
    """Send a probe to one action URL and return the exchange; parameters as for `probe`."""
    action = item.action
    token = f"{HEADER}:{make_token(secret, item.identity, now)}"
    headers = f"{action.headers}&{token}" if action.headers else token
    probed = msgspec.structs.replace(action, headers=headers)
    return await callbacks.deliver(probed, _call(action, ivr))


def result_of(
    item: DesiredActionUrl, delivered: Delivery, *, margin: float, epoch: int | None = None
) -> Finding:
    """Return the result of a probe from its answer; parameters as for `probe`."""
    trouble = _diagnose(item, delivered, epoch)
    if trouble is not None:
        return _fault(item, trouble, delivered.seconds)
    return _ok(item, delivered, margin)


def _diagnose(item: DesiredActionUrl, delivered: Delivery, epoch: int | None) -> Trouble | None:
    return diagnose(delivered.exchanges, delivered.outcome, epoch, acknowledges=not item.ivr)


def _fault(item: DesiredActionUrl, trouble: Trouble, seconds: float) -> Finding:
    at = f", at {shown(item.action.url)}" if trouble.setting == URL else ""
    text, setting = trouble.text + at, trouble.setting
    return Finding("fault", _subject(item), text, trouble.cure, seconds, setting)


def _ok(item: DesiredActionUrl, delivered: Delivery, margin: float) -> Finding:
    took = f"{delivered.seconds * 1000:.0f} ms"
    if not item.ivr:  # how long the PBX waits for an event URL is not documented
        return Finding("ok", _subject(item), f"answered in {took}", seconds=delivered.seconds)
    took += f" of {(item.action.request_timeout or 0) * 1000} ms"
    if delivered.seconds > margin:
        return Finding(
            "warning",
            _subject(item),
            f"answered in {took}, without any handler",
            f"handlers end {margin * 1000:.0f} ms before the PBX gives up: set RECEIVER_MARGIN "
            "higher, or bring the service nearer to the PBX",
            delivered.seconds,
        )
    return Finding("ok", _subject(item), f"answered in {took}", seconds=delivered.seconds)


def _subject(item: DesiredActionUrl) -> str:
    return f"{item.ivr}/{item.action.name}" if item.ivr else item.action.name


def _call(action: ActionUrl, ivr: IvrSummary) -> Call:
    try:
        number = Mask.parse(action.mask).example
    except MaskError:
        number = "0"
    keyed = action.type == "DTMF"
    return Call(
        "101" if keyed else number,
        "receiver doctor",
        ivr.extension_number,
        ivr.name,
        number if keyed else "",
        "receiver-doctor",
    )


# which protocol ------------------------------------------------------------------------------


async def protocol_at(host: str, port: int) -> str:
    """Return the protocol that a port speaks, ``"tls"`` or ``"http"``; empty if unknown.

    Parameters:
        host: a name or an address.
        port: of TCP.
    """
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    try:
        async with asyncio.timeout(_PROTOCOL_TIMEOUT):
            _, writer = await asyncio.open_connection(host, port, ssl=context)
            writer.close()
            return "tls"
    except (OSError, TimeoutError):  # of the handshake too
        pass
    try:
        async with asyncio.timeout(_PROTOCOL_TIMEOUT):
            reader, writer = await asyncio.open_connection(host, port)
            try:
                writer.write(b"HEAD / HTTP/1.0\r\n\r\n")
                return "http" if await reader.read(5) == b"HTTP/" else ""
            finally:
                writer.close()
    except (OSError, TimeoutError):
        return ""


async def _mismatch(url: str, trouble: Trouble, protocol: FindProtocol | None) -> Trouble:
    """Return a trouble that names a mix-up of TLS and plain HTTP, if that is the reason."""
    location = parse(url)
    if protocol is None or location is None or not _UNCLEAR.search(trouble.text):
        return trouble
    spoken = await protocol(location.host, location.port or 0)
    if spoken == {"http": "tls", "https": "http"}.get(location.scheme):
        wants = {"tls": "https", "http": "http"}[spoken]
        return Trouble(
            f"port {location.port} speaks {'TLS' if spoken == 'tls' else 'plain HTTP'}, and "
            f"RECEIVER_PUBLIC_URL says {location.scheme}",
            f"write {wants}:// in RECEIVER_PUBLIC_URL, or correct its port; then receiver doctor",
            URL,
        )
    return trouble
