"""All callbacks are answered with a damaged store, a damaged queue and new workers."""

from __future__ import annotations

import shutil
from pathlib import Path

import httpx
import pytest

from receiver import Call, Forward, Ivr, Receiver, Reply, Secret, Settings
from receiver.server.uvicorn_server import running
from receiver.storage.jobs_sqlite import SqliteJobs
from tests.damage import DAMAGES, Damage
from tests.support import SECRET, credentials

CALLBACKS = 20
WORKERS = 3
ivr = Ivr("888", fallback=Forward("0"))


@ivr.dtmf("1", auth="digest")
async def remember(call: Call) -> Reply:
    async with call.session() as session:
        session["count"] = session.get("count", 0) + 1
    return Forward("222")


def missing(path: Path) -> None:
    """Delete its folder."""
    shutil.rmtree(path.parent)


def folder(path: Path) -> None:
    """Replace it by a folder."""
    path.unlink()
    path.mkdir()


ALL: tuple[Damage, ...] = (*DAMAGES, missing, folder)


async def ask(settings: Settings) -> list[tuple[int, str]]:
    """Return the answers of a new worker to callbacks that each authenticate."""
    own = credentials("888/remember")
    answers = []
    app = Receiver(ivr, settings=settings)
    async with running(app) as url, httpx.AsyncClient(base_url=url) as http:
        for number in range(CALLBACKS):
            response = await http.post(
                "/action/888/remember",
                json={"input": "1", "session_id": f"s{number}"},
                auth=httpx.DigestAuth(own.username, own.password.reveal()),
            )
            answers.append((response.status_code, response.json()["destination"]))
    return answers


@pytest.mark.parametrize("damage", ALL, ids=[one.__name__ for one in ALL])
async def test_every_callback_is_answered(
    tmp_path: Path, damage: Damage, caplog: pytest.LogCaptureFixture
) -> None:
    store, queue = tmp_path / "store" / "store.db", tmp_path / "queue" / "queue.db"
    settings = Settings(secret=SECRET, store=Secret(str(store)), jobs=Secret(str(queue)))
    for path in (store, queue):
        path.parent.mkdir()
    assert await ask(settings) == [(200, "222")] * CALLBACKS
    jobs = SqliteJobs(queue, "RECEIVER_JOBS")
    await jobs.close()
    for path in (store, queue):
        damage(path)
    for _ in range(WORKERS):
        replaced = damage in DAMAGES
        assert await ask(settings) == [(200, "222" if replaced else "0")] * CALLBACKS
    assert "Traceback" not in caplog.text


async def test_workers_start_without_their_folders_and_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A clean-up of temporary files while workers are replaced."""
    gone = tmp_path / "gone"
    environ = {
        "RECEIVER_SECRET": SECRET.reveal(),
        "RECEIVER_METRICS": "1",
        "RECEIVER_METRICS_FOLDER": str(gone),
        "RECEIVER_RECORD": str(tmp_path / "recordings"),
        "RECEIVER_PBX_CA": str(gone / "ca.pem"),
        "RECEIVER_PBX_URL": "https://127.0.0.1:1",
        "RECEIVER_PBX_TOKEN": "t",
    }
    assert await ask(Settings.read(environ, None)) == [(200, "222")] * CALLBACKS
    assert "Traceback" not in caplog.text
    assert f"no such file or directory in {gone}; create it" in caplog.text
    assert "callbacks cannot be recorded" not in caplog.text
    assert list((tmp_path / "recordings").glob("calls-*.jsonl"))
