"""Uploads in chunks with the newest token, downloads from the PBX only, no partial files."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from receiver.errors import (
    DeclarationError,
    PbxError,
    PbxForbidden,
    PbxInvalid,
    PbxNotFound,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
)
from receiver.pbx.chunked_upload import CHUNK_SIZE
from receiver.pbx.connection import MAX_ANSWER
from receiver.pbx.models_shared import PromptFile
from receiver.pbx.pbx_client import PbxClient
from receiver.pbx.prompt_files import filename
from tests.pbx.recorder import Recorder, ok

SMALL = b"small enough"
LARGE = bytes(range(256)) * (CHUNK_SIZE // 256) * 2 + b"the rest"
DIGEST = hashlib.sha256(SMALL).hexdigest()


def begun(token: str = "token-0", status: int = 202) -> httpx.Response:
    return ok(status=status, PortSIP_Upload_ID="up/1", PortSIP_Upload_Token=token)


def went(token: str = "", status: int = 203, **headers: str) -> httpx.Response:
    return ok(status=status, **({"PortSIP_Upload_Token": token} if token else {}), **headers)


async def send(pbx: Recorder, data: bytes = SMALL, **options: Any) -> str:
    return await pbx.client().files.upload(
        "dir/a b.wav", data, checked=False, **options, look_up=False
    )


def tokens(pbx: Recorder) -> list[str]:
    return [request.headers.get("PortSIP-Upload-Token", "") for request in pbx.requests]


def refused(status: int = 400, message: str = "") -> httpx.Response:
    return httpx.Response(status, json={"errors": [{"code": "X", "message": message}]})


async def test_a_small_file_is_uploaded_in_one_request() -> None:
    pbx, seen = Recorder(begun(), ok({"id": "f1"}, 201)), []
    assert await send(pbx, progress=lambda done, total: seen.append((done, total))) == "f1"
    assert pbx.log == [
        "POST /blobs/uploads?filename=a+b.wav",
        f"POST /blobs/uploads/up%2F1/complete?digest={DIGEST}",
    ]
    assert [request.content for request in pbx.requests] == [b"", SMALL]
    assert pbx.requests[1].headers["content-type"] == "application/octet-stream"
    assert "authorization" in pbx.requests[1].headers
    assert tokens(pbx) == ["", "token-0"]
    assert seen == [(0, len(SMALL)), (len(SMALL), len(SMALL))]


async def test_a_large_file_is_uploaded_in_chunks_with_the_newest_token() -> None:
    pbx = Recorder(begun(), went("token-1"), went("", 202), went("token-3"), ok({"id": "f1"}, 201))
    seen: list[int] = []
    assert await send(pbx, LARGE, progress=lambda done, total: seen.append(done)) == "f1"
    assert tokens(pbx)[1:] == ["token-0", "token-1", "token-1", "token-3"]
    parts = [request.content for request in pbx.requests]
    assert [len(part) for part in parts] == [0, CHUNK_SIZE, CHUNK_SIZE, 8, 0]
    assert b"".join(parts) == LARGE
    assert seen == [0, CHUNK_SIZE, 2 * CHUNK_SIZE, len(LARGE), len(LARGE)]


async def test_the_digest_is_tried_in_both_forms_in_two_uploads() -> None:
    pbx = Recorder(begun(), refused(), went(status=204), begun("token-9"), ok({"id": "f1"}, 201))
    assert await send(pbx) == "f1"
    assert pbx.log[1:] == [
        f"POST /blobs/uploads/up%2F1/complete?digest={DIGEST}",
        "POST /blobs/uploads/up%2F1/destroy",
        "POST /blobs/uploads?filename=a+b.wav",
        f"POST /blobs/uploads/up%2F1/complete?digest=sha256%3A{DIGEST}",
    ]
    assert tokens(pbx)[-1] == "token-9"


async def test_if_both_are_refused_the_first_refusal_counts() -> None:
    end = went(status=204)
    pbx = Recorder(begun(), refused(400, "first"), end, begun(), refused(409, "second"), end)
    with pytest.raises(PbxRefused, match="first"):
        await send(pbx)
    assert pbx.script == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (refused(403), PbxForbidden),
        (refused(404), PbxNotFound),
        (refused(413), PbxRefused),
        (httpx.Response(429, headers={"retry-after": "99"}), PbxThrottled),
        (refused(401), PbxUnauthorized),
    ],
)
async def test_a_refusal_that_is_not_about_the_digest(
    answer: httpx.Response, error: type[PbxError]
) -> None:
    pbx = Recorder(begun(), answer, went(status=204))
    with pytest.raises(error):
        await send(pbx)
    assert pbx.log[-1] == "POST /blobs/uploads/up%2F1/destroy"
    assert pbx.script == []


async def test_a_failure_cancels_the_upload_and_a_failed_cancel_is_ignored() -> None:
    pbx = Recorder(begun(), went("token-1"), httpx.Response(500), httpx.Response(500))
    with pytest.raises(PbxRefused, match=r"uploading 'a b\.wav' \(append\)"):
        await send(pbx, LARGE)
    assert pbx.log[-1] == "POST /blobs/uploads/up%2F1/destroy"
    assert tokens(pbx)[-1] == "token-1"


@pytest.mark.parametrize("lost", [httpx.ReadError("x"), httpx.Response(500), ok({}, 201)])
async def test_an_upload_that_may_be_complete_is_not_cancelled(lost: Any) -> None:
    pbx = Recorder(begun(), lost)
    with pytest.raises(PbxError):
        await send(pbx)
    assert len(pbx.log) == 2


async def test_a_cancelled_task_cancels_the_upload() -> None:
    asked = asyncio.Event()
    paths = []

    async def handler(request: httpx.Request) -> httpx.Response:
        paths.append(request.url.path.rpartition("/")[2])
        if paths[-1] == "complete":
            asked.set()
            await asyncio.Event().wait()
        return begun()

    pbx = Recorder().client()
    pbx._connection._clients = [httpx.AsyncClient(transport=httpx.MockTransport(handler))]
    task = asyncio.create_task(pbx.files.upload("a.wav", SMALL, checked=False, look_up=False))
    await asked.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert paths == ["uploads", "complete", "destroy"]


@pytest.mark.parametrize(
    ("said", "resent"),
    [
        (f"0-{CHUNK_SIZE - 1}", 0),
        (f"bytes=0-{CHUNK_SIZE - 1}/*", 0),
        ("0-0", 1),
        ("", 1),
    ],
)
async def test_an_append_resumes_at_the_offset_of_the_pbx_after_a_lost_answer(
    said: str, resent: int
) -> None:
    again = [went("token-6")] * resent
    pbx = Recorder(
        begun(),
        httpx.ReadError("x"),
        went("token-5", 204, Range=said),
        *again,
        went("token-7"),
        went("token-8"),
        ok({"id": "f1"}, 201),
    )
    assert await send(pbx, LARGE) == "f1"
    assert pbx.log[2] == "GET /blobs/uploads/up%2F1/status"
    assert tokens(pbx)[3] == "token-5"
    sizes = [len(request.content) for request in pbx.requests if "append" in request.url.path]
    assert sizes == [CHUNK_SIZE] * (1 + resent) + [CHUNK_SIZE, 8]


async def test_an_unknown_offset_of_the_pbx() -> None:
    pbx = Recorder(begun(), httpx.ReadError("x"), went(status=204, Range="0-77"), went(status=204))
    with pytest.raises(PbxInvalid, match="the PBX sends no usable Range"):
        await send(pbx, LARGE)


async def test_a_connection_that_is_always_lost() -> None:
    lost: list[Any] = [httpx.ReadError("x"), went(status=204, Range="0-0")] * 3
    pbx = Recorder(begun(), *lost, httpx.ReadError("x"), went(status=204))
    with pytest.raises(PbxUnreachable):
        await send(pbx, LARGE)
    assert pbx.script == []


@pytest.mark.parametrize(
    "answer", [ok(), ok(PortSIP_Upload_ID="1"), ok(PortSIP_Upload_Token="token-0")]
)
async def test_a_begin_without_id_or_token(answer: httpx.Response) -> None:
    with pytest.raises(PbxInvalid, match="lacks PortSIP-Upload-ID or PortSIP-Upload-Token"):
        await send(Recorder(answer))


async def test_no_error_repeats_the_upload_token() -> None:
    answer = refused(403, "bad token-0")
    with pytest.raises(PbxForbidden) as caught:
        await send(Recorder(begun(), answer, went(status=204)))
    assert "token-0" not in f"{caught.value} {caught.value.detail}"


async def test_files_that_are_not_uploaded() -> None:
    files = Recorder().client().files
    for name, data in (("a.wav", b""), ("", SMALL)):
        with pytest.raises(DeclarationError, match="nothing to upload"):
            await files.upload(name, data, look_up=False)
    with pytest.raises(DeclarationError, match="not a WAV file"):
        await files.upload("a.wav", SMALL, look_up=False)


# files ---------------------------------------------------------------------------------------


async def test_files_are_listed_and_shown() -> None:
    data = {"id": "f1", "name": "a.wav", "size": "7", "created_at": ""}
    pbx = Recorder(ok({"count": 1, "items": [data]}), ok(data))
    file = PromptFile(id="f1", name="a.wav", size=7)
    assert [item async for item in pbx.client().files.list()] == [file]
    assert await pbx.client().files.show("f1") == file
    assert pbx.log == ["GET /files?skip=0&top=100&orderby=name+asc", "GET /files/f1"]


async def fetch(pbx: Recorder, source: str) -> tuple[bytes, str, int | None]:
    async with pbx.client(url="http://localhost:8887").files.download(source) as found:
        data = b"".join([chunk async for chunk in found.chunks()])
        return data, filename(found), found.size


@pytest.mark.parametrize(
    ("source", "path"),
    [
        ("/api/blobs/abC", "/api/blobs/abC"),
        ("http://localhost:8887/api/blobs/x?y=1", "/api/blobs/x?y=1"),
        ("abC", "/api/blobs/abC"),
        ("sha256:ab", "/api/blobs/sha256%3Aab"),
    ],
)
async def test_a_download_is_sent_without_a_token(source: str, path: str) -> None:
    name = 'attachment; filename="a b.wav"'
    answer = httpx.Response(200, content=SMALL, headers={"content-disposition": name})
    pbx = Recorder(answer)
    assert await fetch(pbx, source) == (SMALL, "a b.wav", len(SMALL))
    assert pbx.requests[0].url.raw_path.decode() == path
    assert "authorization" not in pbx.requests[0].headers


async def test_a_download_that_needs_a_token_after_all() -> None:
    pbx = Recorder(httpx.Response(401), httpx.Response(200, content=SMALL))
    assert (await fetch(pbx, "abc"))[0] == SMALL
    assert "authorization" in pbx.requests[1].headers


@pytest.mark.parametrize(
    "source",
    [
        "https://localhost:8887/x",
        "http://elsewhere:8887/api/blobs/x",
        "//elsewhere/x",
        "http://localhost/x",
        "http://[/x",
        "a\x00b/c",
        "file:///etc/passwd",
    ],
)
async def test_a_download_from_elsewhere(source: str) -> None:
    with pytest.raises(PbxInvalid, match=r"not to the PBX|cannot be read"):
        await fetch(Recorder(), source)


async def test_a_download_is_larger_than_answers_may_be() -> None:
    async def much() -> AsyncIterator[bytes]:
        for _ in range(9):
            yield bytes(1024 * 1024)

    pbx = Recorder(httpx.Response(200, content=much()))
    data, name, size = await fetch(pbx, "abc")
    assert (len(data) > MAX_ANSWER, name, size) == (True, "", None)


async def test_a_download_that_ends_too_early() -> None:
    async def cut() -> AsyncIterator[bytes]:
        yield b"x"
        raise httpx.RemoteProtocolError("x")

    with pytest.raises(PbxUnreachable, match=r"downloading a file: .*closed the connection early"):
        await fetch(Recorder(httpx.Response(200, content=cut())), "abc")


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (httpx.Response(404), PbxNotFound),
        (httpx.Response(302, headers={"location": "/x"}), PbxInvalid),
        (httpx.ReadTimeout("x"), PbxUnreachable),
    ],
)
async def test_a_download_that_fails(answer: Any, error: type[PbxError]) -> None:
    with pytest.raises(error):
        await fetch(Recorder(answer), "abc")


async def test_the_begin_of_a_download_is_retried() -> None:
    pbx = Recorder(httpx.Response(503), httpx.ReadError("x"), httpx.Response(200, content=SMALL))
    assert (await fetch(pbx, "abc"))[0] == SMALL


@pytest.mark.parametrize(
    ("said", "name"),
    [
        ('attachment; filename="a.wav"', "a.wav"),
        ("attachment; filename=a.wav; x=y", "a.wav"),
        ("attachment; filename*=UTF-8''gr%C3%BC%C3%9Fe.wav", "grüße.wav"),
        (r'attachment; filename="a\"b.wav"', 'a"b.wav'),
        ('attachment; filename="../../etc/passwd"', "passwd"),
        ('attachment; filename="..\\\\..\\\\x.wav"', "x.wav"),
        ('attachment; filename=".bashrc"', ""),
        ('attachment; filename="\x1b[2J"', ""),
        ("attachment", ""),
        ("", ""),
    ],
)
async def test_the_name_of_a_download(said: str, name: str) -> None:
    answer = httpx.Response(200, headers=[(b"content-disposition", said.encode())])
    assert (await fetch(Recorder(answer), "abc"))[1] == name


def test_collections_exist_before_any_request() -> None:
    client = Recorder().client()
    assert isinstance(client, PbxClient)
    assert client.files.type.many == "files"


def listed(*ids: str, **fields: Any) -> httpx.Response:
    file = {"name": "a b.wav", "size": len(SMALL), **fields}
    return ok({"count": len(ids), "items": [{"id": key, **file} for key in ids]})


@pytest.mark.parametrize("lost", [httpx.ReadError("x"), httpx.Response(500), ok({}, 201)])
async def test_an_upload_whose_last_answer_was_lost_is_looked_up(lost: Any) -> None:
    pbx = Recorder(listed("f1"), begun(), lost, listed("f1", "f2"))
    assert await pbx.client().files.upload("dir/a b.wav", SMALL, checked=False) == "f2"
    assert pbx.script == []


@pytest.mark.parametrize(
    "after", [listed("f1"), listed("f2", name="other.wav"), listed("f2", size=3)]
)
async def test_a_failed_upload_raises_its_error(after: Any) -> None:
    pbx = Recorder(listed("f1"), begun(), httpx.ReadError("x"), after)
    with pytest.raises(PbxUnreachable):
        await pbx.client().files.upload("a b.wav", SMALL, checked=False)


async def test_an_upload_that_was_refused_is_not_looked_up() -> None:
    pbx = Recorder(listed(), begun(), refused(403), went(status=204))
    with pytest.raises(PbxForbidden):
        await pbx.client().files.upload("a b.wav", SMALL, checked=False)
    assert pbx.script == []
