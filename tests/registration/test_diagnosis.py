"""The meaning of the answer to a probe, and the protocol of a port."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.probe_token import HEADER
from receiver.pbx.callback_trace import Exchange, Outcome
from receiver.registration.diagnosis import (
    Explanation,
    diagnose,
    explanation,
    has_unknown_authority,
    is_refusal,
)
from receiver.registration.probe import protocol_at

OURS = ("WWW-Authenticate", 'Bearer realm="callbacks"')
PEM = Path(__file__).parent.parent / "pbx" / "localhost.pem"


def answer(status: int | None, *headers: tuple[str, str]) -> list[Exchange]:
    return [Exchange("POST", "https://h/", (), b"", status, headers, b"", 0.1)]


def failed(status: int) -> Outcome:
    return Outcome("failed", f"HTTP status {status}")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", Explanation()),
        ("ok", Explanation(worth="ok")),
        ("epoch 3", Explanation(epoch=3)),
        ("epoch ", Explanation()),
        ("epoch three", Explanation()),
        ("epoch 9999999999", Explanation()),
        ("source 10.0.0.1 epoch 3", Explanation("10.0.0.1", 3)),
        ("source 10.0.0.1", Explanation("10.0.0.1")),
        ("source an unknown address (unix) epoch 2", Explanation("an unknown address (unix)", 2)),
        ("source ", Explanation("?")),
    ],
)
def test_the_probe_result_is_parsed(text: str, said: Explanation) -> None:
    assert explanation(answer(401, (HEADER.lower(), text))[0]) == said


@given(st.text())
def test_any_header_can_be_read(text: str) -> None:
    exchanges = answer(401, OURS, (HEADER, text))
    trouble = diagnose(exchanges, failed(401), 1)
    assert trouble is not None
    assert trouble.text.isprintable()
    assert is_refusal(exchanges)


@pytest.mark.parametrize(
    ("status", "headers", "epoch", "setting", "text"),
    [
        (401, (OURS,), 1, "RECEIVER_SECRET", "its RECEIVER_SECRET differs from this command's"),
        (401, (OURS, (HEADER, "epoch 2")), 1, "RECEIVER_EPOCH", "RECEIVER_EPOCH=2, this"),
        (401, (OURS, (HEADER, "epoch 2")), 2, "", "the same RECEIVER_SECRET"),
        (401, (OURS, (HEADER, "epoch 2")), None, "", "the same RECEIVER_SECRET"),
        (401, (), 1, "RECEIVER_PUBLIC_URL", "something in front of the service"),
        (403, (), 1, "RECEIVER_SECRET", "address is refused"),
        (403, ((HEADER, "source 10.0.0.1 epoch 1"),), 1, "RECEIVER_ALLOWED_SOURCES", "10.0.0.1"),
        (404, (), 1, "RECEIVER_PUBLIC_URL", "no such path"),
        (404, ((HEADER, "unknown"),), 1, "", "without this declaration"),
        (429, (), 1, "RECEIVER_SECRET", "a proxy limits the rate"),
        (429, ((HEADER, "epoch 2"),), 1, "RECEIVER_EPOCH", "RECEIVER_EPOCH=2, this"),
        (302, (), 1, "RECEIVER_PUBLIC_URL", "a redirect (302)"),
        (503, (), 1, "", "the proxy answers 503"),
        (418, (), 1, "", "HTTP status 418"),
    ],
)
def test_the_setting_that_differs_is_named(
    status: int, headers: tuple[tuple[str, str], ...], epoch: int | None, setting: str, text: str
) -> None:
    trouble = diagnose(answer(status, *headers), failed(status), epoch)
    assert trouble is not None
    assert trouble.answered
    assert trouble.setting == setting
    assert text in trouble.text


def test_a_refused_address_may_be_that_of_a_proxy() -> None:
    """The proxy is named first: among the allowed sources it would let every client through."""
    exchanges = answer(403, (HEADER, "source 10.0.0.1 epoch 1"))
    trouble = diagnose(exchanges, failed(403), 1)
    assert trouble is not None
    assert trouble.cure.startswith("if that is a proxy's address: add it to RECEIVER_TRUSTED_PROX")


def test_an_answer_in_order_is_no_trouble() -> None:
    outcome = Outcome("repeated")
    assert diagnose(answer(200, (HEADER, "ok")), outcome) is None
    trouble = diagnose(answer(200, (HEADER, "wrong")), outcome)
    assert trouble is not None
    assert trouble.setting == "RECEIVER_SECRET"


@pytest.mark.parametrize("exchanges", [[], answer(None)])
def test_no_answer_may_be_the_public_url(exchanges: list[Exchange]) -> None:
    trouble = diagnose(exchanges, Outcome("failed", "the connection was refused"))
    assert trouble is not None
    assert (trouble.setting, trouble.answered) == ("RECEIVER_PUBLIC_URL", False)
    assert not is_refusal(exchanges)


@pytest.mark.parametrize(
    ("status", "headers", "refused"),
    [
        (401, (OURS,), True),
        (401, (), False),
        (429, (), True),
        (403, ((HEADER, "source 10.0.0.1"),), True),
        (403, (), False),
        (404, ((HEADER, "unknown"),), False),
        (200, ((HEADER, "ok"),), False),
        (200, ((HEADER, "expired"),), True),
        (502, (), False),
    ],
)
def test_a_refusal_is_of_a_service_that_is_alive(
    status: int, headers: tuple[tuple[str, str], ...], refused: bool
) -> None:
    assert is_refusal(answer(status, *headers)) is refused


@pytest.mark.parametrize(
    ("reason", "unknown"),
    [
        ("self-signed certificate", True),
        ("self signed certificate in certificate chain", True),
        ("unable to get local issuer certificate", True),
        ("certificate has expired", False),
        ("Hostname mismatch, certificate is not valid for 'a.example'.", False),
    ],
)
def test_an_authority_that_this_machine_does_not_know(reason: str, unknown: bool) -> None:
    outcome = Outcome("failed", f"TLS: the certificate is not trusted ({reason})")
    assert has_unknown_authority(outcome) is unknown


# which protocol a port speaks ----------------------------------------------------------------


@asynccontextmanager
async def serving(says: bytes, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """Answer everything with ``says``."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(1)
            writer.write(says)
            await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0, ssl=context)
    async with server:
        yield server.sockets[0].getsockname()[1]


@pytest.mark.parametrize(
    ("says", "secure", "spoken"),
    [(b"HTTP/1.1 400 Bad\r\n\r\n", False, "http"), (b"SSH-2.0\r\n", False, ""), (b"", True, "tls")],
)
async def test_which_protocol_a_port_speaks(says: bytes, secure: bool, spoken: str) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(PEM)
    async with serving(says, context if secure else None) as port:
        assert await protocol_at("127.0.0.1", port) == spoken


async def test_a_port_where_nothing_listens_speaks_nothing() -> None:
    async with serving(b"") as port:
        pass
    assert await protocol_at("127.0.0.1", port) == ""
