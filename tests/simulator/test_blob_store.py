"""Uploads in chunks, downloads by digest."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator

import httpx
import pytest

from receiver.server.uvicorn_server import running
from receiver.simulator.api import Api, make_api
from receiver.simulator.blob_store import media_type
from receiver.simulator.model import Behaviour, Pbx

WAVE = b"RIFF" + bytes(range(256)) * 8
DIGEST = hashlib.sha256(WAVE).hexdigest()
TOKEN = "portsip-upload-token"
HEADERS = {"Authorization": "Bearer fixed"}


@pytest.fixture
def api() -> Api:
    return make_api(Pbx(), token="fixed", today=lambda: 1500651148.0)


@pytest.fixture
async def client(api: Api) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(api), base_url="http://pbx/api", headers=HEADERS
    ) as client:
        yield client


async def begin(client: httpx.AsyncClient, name: str = "welcome.wav") -> tuple[str, str]:
    answer = await client.post("/blobs/uploads", params={"filename": name, "temporary": "false"})
    assert (answer.status_code, answer.headers["range"]) == (202, "0-0")
    key = answer.headers["portsip-upload-id"]
    return f"/blobs/uploads/{key}", answer.headers[TOKEN]


async def send(
    client: httpx.AsyncClient, path: str, token: str, data: bytes = b"", digest: str = ""
) -> httpx.Response:
    query = {"digest": digest} if digest else {}
    return await client.post(path, content=data, headers={TOKEN: token}, params=query)


async def upload(client: httpx.AsyncClient, name: str = "welcome.wav") -> str:
    path, token = await begin(client, name)
    answer = await send(client, f"{path}/complete", token, WAVE, DIGEST)
    assert answer.status_code == 201
    key: str = answer.json()["id"]
    return key


async def test_an_upload_in_chunks(client: httpx.AsyncClient) -> None:
    path, token = await begin(client)
    tokens = {token}
    for start, last in ((0, 999), (1000, 1999)):
        answer = await send(client, f"{path}/append", token, WAVE[start : last + 1])
        assert (answer.status_code, answer.headers["range"]) == (203, f"0-{last}")
        token = answer.headers[TOKEN]
        assert token not in tokens
        tokens.add(token)
    done = await send(client, f"{path}/complete", token, WAVE[2000:], DIGEST)
    assert done.status_code == 201
    shown = (await client.get(f"/files/{done.json()['id']}")).json()
    assert shown == {
        "id": done.json()["id"],
        "name": "welcome.wav",
        "size": len(WAVE),
        "media_type": "audio/vnd.wave",
        "created_at": "2017-07-21T15:32:28Z",
    }
    assert (await client.get(f"{path}/status")).status_code == 404


async def test_an_upload_resumes_by_its_status_after_a_lost_answer(
    client: httpx.AsyncClient,
) -> None:
    path, token = await begin(client)
    await send(client, f"{path}/append", token, WAVE)
    stale = await send(client, f"{path}/append", token, WAVE)
    assert stale.status_code == 400
    status = await client.get(f"{path}/status")
    assert (status.status_code, status.headers["range"]) == (204, f"0-{len(WAVE) - 1}")
    done = await send(client, f"{path}/complete", status.headers[TOKEN], digest=DIGEST)
    assert done.status_code == 201


@pytest.mark.parametrize("digest", ["0" * 64, "sha256:" + DIGEST, DIGEST.upper()])
async def test_a_digest_that_is_not_the_right_one(client: httpx.AsyncClient, digest: str) -> None:
    path, token = await begin(client)
    assert (await send(client, f"{path}/complete", token, WAVE, digest)).status_code == 400
    assert (await client.get("/files")).json()["count"] == 0
    assert (await send(client, f"{path}/complete", token, WAVE)).status_code == 201


async def test_a_digest_may_have_a_prefix(api: Api, client: httpx.AsyncClient) -> None:
    api.pbx.behaviour = Behaviour(digests="prefixed")
    path, token = await begin(client)
    assert (await send(client, f"{path}/complete", token, WAVE, DIGEST)).status_code == 400
    good = await send(client, f"{path}/complete", token, WAVE, f"sha256:{DIGEST}")
    assert good.status_code == 201


async def test_a_cancelled_upload_is_gone(client: httpx.AsyncClient) -> None:
    path, token = await begin(client)
    assert (await client.post(f"{path}/destroy")).status_code == 204
    assert (await send(client, f"{path}/append", token, WAVE)).status_code == 404


async def test_requests_that_are_wrong(client: httpx.AsyncClient) -> None:
    assert (await client.post("/blobs/uploads", params={"temporary": "yes"})).status_code == 400
    path, _ = await begin(client)
    assert (await client.post(f"{path}/append", content=WAVE)).status_code == 400


async def test_the_bytes_need_no_token_and_go_with_the_last_file(client: httpx.AsyncClient) -> None:
    one, two = await upload(client, 'a"b\n\u00e4.wav'), await upload(client)
    answer = await client.get(f"/blobs/{DIGEST}", headers={"Authorization": ""})
    assert answer.content == WAVE
    assert answer.headers["content-disposition"] == 'attachment; filename="a_b__.wav"'
    for key, status in ((one, 200), (two, 404)):
        assert (await client.post(f"/files/{key}/destroy")).status_code == 204
        assert (await client.get(f"/blobs/{DIGEST}")).status_code == status


async def test_a_prompt_is_a_file(client: httpx.AsyncClient) -> None:
    key = await upload(client)
    data = {"name": "Sales", "extension_number": "8000", "prompt_file_id": key}
    ivr = (await client.post("/ivrs", json=data)).json()["id"]
    shown = (await client.get(f"/ivrs/{ivr}")).json()
    assert "prompt_file_id" not in shown
    assert (shown["prompt_file_name"], shown["prompt_file_size"]) == ("welcome.wav", len(WAVE))
    assert (await client.get(shown["prompt_file_url"].removeprefix("/api"))).content == WAVE
    assert "transfer_prompt_file_name" not in shown
    await client.post(f"/files/{key}/destroy")
    assert (await client.get(f"/ivrs/{ivr}")).json().get("prompt_file_name") is None


async def test_it_goes_over_a_socket_too(api: Api) -> None:
    async with (
        running(api, lifespan="off") as url,
        httpx.AsyncClient(base_url=f"{url}/api", headers=HEADERS, trust_env=False) as client,
    ):
        path, token = await begin(client, "")
        status = await client.get(f"{path}/status")
        assert (status.status_code, status.content) == (204, b"")
        assert status.headers["content-length"] == "0"
        done = await send(client, f"{path}/complete", status.headers[TOKEN], WAVE, DIGEST)
        shown = (await client.get(f"/files/{done.json()['id']}")).json()
        assert (shown["name"], shown["media_type"]) == (DIGEST, "application/octet-stream")
        assert token != status.headers[TOKEN]


def test_media_types() -> None:
    names = ("a.WAV", "b.mp3", "c.x", "wav")
    wanted = ["audio/vnd.wave", "audio/mpeg", *["application/octet-stream"] * 2]
    assert list(map(media_type, names)) == wanted
