"""The four measured holes of the stock servers, and others found later."""

import contextlib

import pytest

from tests.attacks.conftest import OURS, STACKS
from tests.attacks.wire import BODY, FORM, Target, chunked, post, request, token

HEAD_OF_CHUNKS = chunked(token()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"


@pytest.mark.parametrize(
    "trailer", [token(), b"X-Forwarded-For: 198.51.100.7", b"Forwarded: for=198.51.100.7"]
)
def test_trailers_are_not_headers(
    trailer: bytes, stack: str, target: Target, caplog: pytest.LogCaptureFixture
) -> None:
    """uvicorn with httptools has them among the headers before the app begins."""
    before = len(target.handler.calls)
    with target.connect() as wire:
        wire.send(chunked(trailers=trailer + b"\r\n"))
        answer = wire.answer()
        assert answer.status == (411 if stack == "uvicorn-httptools" else 401)
        if answer.status == 401:  # nor does the next request of the connection inherit them
            wire.send(request(b"Host: x", FORM, b"Content-Length: %d" % len(BODY), body=BODY))
            assert wire.answer().status == 401
    assert len(target.handler.calls) == before
    assert "198.51.100.7" not in caplog.text
    assert target.still_answers()


@pytest.mark.parametrize("path", ["/action/888/post-open/", "/action/888/post-bearer/", "/action"])
def test_the_host_header_causes_no_redirect(path: str, target: Target) -> None:
    with target.connect() as wire:
        wire.send(f"GET {path} HTTP/1.1\r\nHost: evil.example\r\n\r\n".encode())
        answer = wire.answer()
    assert answer.status == 404
    assert b"evil.example" not in answer.head + answer.body
    assert b"location" not in answer.head.lower()


def test_two_content_lengths_smuggle_no_request(target: Target) -> None:
    """h11 reads the chunks, and would answer what a proxy took for a body."""
    before = len(target.handler.calls)
    smuggled = post()
    chunks = b"0\r\n\r\n" + smuggled
    length = b"Content-Length: %d" % len(chunks)
    with target.connect() as wire:
        wire.send(request(b"Host: x", token(), length, b"Transfer-Encoding: chunked", body=chunks))
        assert wire.answer().status == 400
        assert wire.closed()
    assert len(target.handler.calls) == before
    assert target.still_answers()


def test_an_upgrade_smuggles_no_request(stack: str, target: Target) -> None:
    """httptools sees no body here, and parses the next segment as a request."""
    before = len(target.handler.calls)
    body = post()
    length = b"Content-Length: %d" % len(body)
    with target.connect() as wire:
        wire.send(request(b"Host: x", b"Connection: Upgrade", b"Upgrade: h2c", length))
        if stack == "uvicorn-httptools":
            assert wire.answer().status == 400
            assert wire.closed()
        else:
            wire.send(body)
            assert wire.answer().status == 401
            wire.send(request(b"Host: x"))
            assert wire.answer().status == 401
    assert len(target.handler.calls) == before
    assert target.still_answers()


def test_pipelined_upgrades(stack: str, target: Target) -> None:
    """Each is parsed again without its Upgrade: their number must not pile up calls."""
    upgrade = (
        b"GET /action/888/get-open HTTP/1.1\r\nHost: x\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n"
    )
    with target.connect() as wire:
        wire.send(upgrade * 2000)
        assert wire.answer().status == 200
    assert target.still_answers()


UNFINISHED = (
    post()[: -len(BODY)],
    post()[:-1],
    chunked(token())[:-2],
    chunked(token(), trailers=b"X: ")[:-2],
    HEAD_OF_CHUNKS + b"fff\r\n{",
    HEAD_OF_CHUNKS + b"f" * 20 + b"\r\n",  # httptools refuses these two at once
    HEAD_OF_CHUNKS + b"2\n{}\n0\n\n",
)


def test_endless_bodies_are_answered_and_closed(stack: str, target: Target) -> None:
    """A caller may be on the line: the fallback comes before the PBX gives up."""
    before = len(target.handler.calls)
    with contextlib.ExitStack() as all_of_them:
        wires = [all_of_them.enter_context(target.connect()) for _ in UNFINISHED]
        for wire, start in zip(wires, UNFINISHED, strict=True):
            wire.send(start)
        answers = [wire.answer() for wire in wires]
        assert all(answer.closes for answer in answers)
        assert all(wire.closed() for wire in wires)
    assert all(b'"repeat"' in answer.body for answer in answers if answer.status == 200)
    late = [answer.status for answer in answers].count(200)
    assert late == {"uvicorn-httptools": 2, "uvicorn-h11": 7}.get(stack, 5)
    assert {answer.status for answer in answers} <= {200, 400, 411}
    assert len(target.handler.calls) == before
    assert target.still_answers()


def test_an_endless_body_without_credentials(target: Target) -> None:
    with target.connect() as wire:
        wire.send(request(b"Host: x", b"Content-Length: 100", body=b"x"))
        answer = wire.answer()
        assert (answer.status, answer.closes) == (401, True)
        assert wire.closed()


def test_the_four_are_four() -> None:
    assert set(OURS) < set(STACKS)
    assert len(STACKS) == 4
