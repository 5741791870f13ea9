"""The messages that curl sees on the wire."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from dataclasses import replace

import pytest

from tests.interop.senders.libcurl import libcurl
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
    done = await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=120)
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


@pytest.mark.parametrize("text", ['"', "\\", '\\"a"\\\\'])
async def test_libcurl_sends_quotes_and_backslashes_of_a_digest_target(
    text: str, stage: Stage
) -> None:
    """libcurl 8.19.0 and later escape the ``uri`` of the header and hash the raw target."""
    sent = stage.sent("GET", "digest", times=1)
    sent = replace(sent, url=sent.url.replace("from_name=", f"from_name={text}"))
    assert text in sent.url
    await asyncio.to_thread(libcurl, sent)
    assert [seen.status for seen in stage.wire.seen] == [401, 200]
    (call,) = stage.handler.calls
    assert call.caller_name.startswith(text)
