"""The backend of sessions that RECEIVER_STORE names."""

from __future__ import annotations

from pathlib import Path

import pytest

from receiver.credentials import Secret
from receiver.dispatch.sessions import SessionLost, open_sessions
from receiver.errors import SettingsError
from tests.clock import Clock
from tests.storage.session_workers import add_one, stored
from tests.stores import LONG, lasting_server, redis_url

__all__ = ["lasting_server", "redis_url"]  # fixtures


@pytest.mark.parametrize("kind", ["", "file", "redis"])
async def test_receiver_store_names_the_backend_of_sessions(
    request: pytest.FixtureRequest, tmp_path: Path, kind: str
) -> None:
    where = Secret(str(tmp_path / "shared.db") if kind else "")
    if kind == "redis":
        where = request.getfixturevalue("redis_url")
    one, other = open_sessions(where, limit=LONG), open_sessions(where, limit=LONG)
    await add_one(one)
    assert await stored(other) == ({"count": 1} if kind else {})
    for sessions in (one, other):
        await sessions.close()


@pytest.mark.parametrize("where", ["http://127.0.0.1/", "redis://:a-long-password@[::1/0"])
def test_a_value_that_can_never_work(where: str) -> None:
    with pytest.raises(SettingsError, match=r"^RECEIVER_STORE "):
        open_sessions(Secret(where))


async def test_an_outage_is_logged_without_the_password_of_redis(
    caplog: pytest.LogCaptureFixture,
) -> None:
    clock = Clock()
    sessions = open_sessions(Secret("redis://user:a-long-password@127.0.0.1:1/0"), clock=clock)
    for _ in range(3):
        with pytest.raises(SessionLost, match=r"^the session store is unavailable$"):
            await add_one(sessions)
    (line,) = (r.getMessage() for r in caplog.records if r.name == "receiver")
    assert line.startswith("the session store (Redis) is unavailable (")
    assert "): callbacks that need a session get their fallback; is Redis running" in line
    await sessions.close()
