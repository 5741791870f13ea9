"""Head and body go out at once, and nothing is kept back that is complete."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import pytest

from receiver.serving.joining import Joining

HEAD = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"


class Transport:
    """Keeps what is written."""

    def __init__(self) -> None:
        self.written: list[bytes] = []
        self.closed = False

    def write(self, data: bytes) -> None:
        assert not self.closed
        self.written.append(data)

    def close(self) -> None:
        self.closed = True

    def get_write_buffer_size(self) -> int:
        return 1000

    def is_closing(self) -> bool:
        return self.closed


@pytest.fixture
def below() -> Transport:
    return Transport()


@pytest.fixture
async def transport(below: Transport) -> Joining:
    return Joining(cast("Any", below), asyncio.get_running_loop())


async def test_a_head_goes_out_with_its_body(below: Transport, transport: Joining) -> None:
    transport.write(HEAD)
    assert (below.written, transport.get_write_buffer_size()) == ([], 1000 + len(HEAD))
    transport.write(b"{}")
    assert (below.written, transport.get_write_buffer_size()) == ([HEAD + b"{}"], 1000)
    await asyncio.sleep(0)
    transport.write(HEAD)
    transport.write(b"")
    assert below.written == [HEAD + b"{}", HEAD]
    await asyncio.sleep(0)
    assert len(below.written) == 2


async def test_a_head_that_nothing_follows(below: Transport, transport: Joining) -> None:
    transport.write(HEAD)
    await asyncio.sleep(0)
    assert below.written == [HEAD]


async def test_before_the_end_all_is_written(below: Transport, transport: Joining) -> None:
    transport.write(HEAD)
    transport.close()
    assert (below.written, below.closed, transport.is_closing()) == ([HEAD], True, True)
    await asyncio.sleep(0)
    assert below.written == [HEAD]


async def test_who_is_gone_gets_nothing(below: Transport, transport: Joining) -> None:
    transport.write(HEAD)
    below.close()
    await asyncio.sleep(0)
    assert below.written == []


@pytest.mark.parametrize(
    "data",
    [b"HTTP/1.1 100 Continue\r\n\r\n", HEAD + b"{}", b"{}", memoryview(HEAD), bytearray(HEAD)],
)
async def test_what_is_no_head_does_not_wait(
    below: Transport, transport: Joining, data: bytes | bytearray | memoryview
) -> None:
    transport.write(data)
    assert below.written == [data]


@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
async def test_a_body_may_be_of_any_kind(
    below: Transport, transport: Joining, kind: Callable[[bytes], Any]
) -> None:
    transport.write(HEAD)
    transport.write(kind(b"{}"))
    assert below.written == [HEAD + b"{}"]
