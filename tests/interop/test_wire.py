"""What curl sees on the wire."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable

import pytest

from tests.interop.stage import Stage
from tests.support import ANSWER

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("mode", ["bearer", "basic", "digest", "open"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_what_curl_sees_on_the_wire(
    method: str, mode: str, stage: Stage, program: Callable[[str], str]
) -> None:
    """No redirect, no compression, no chunks, no cookie; and the right challenge on a 401."""
    sent = stage.sent(method, mode)
    post = ("-d", sent.body) if method == "POST" else ()
    command = (program("curl"), "-si", "--compressed", "-L", *post, sent.url)
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=20)
    head, _, body = done.stdout.decode().partition("\r\n\r\n")
    status, *lines = head.lower().split("\r\n")
    headers = dict(line.split(": ", 1) for line in lines)
    names = {"date", "content-length"}
    if mode == "open":
        assert status == "http/1.1 200 ok"
        assert body.encode() == ANSWER
        assert headers.keys() == names | {"content-type"}
    else:
        assert status == "http/1.1 401 unauthorized"
        assert headers.keys() == names | {"www-authenticate"}
        assert headers["www-authenticate"].startswith(f'{mode} realm="callbacks"')
