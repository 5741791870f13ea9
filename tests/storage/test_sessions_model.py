"""Sessions of two workers behave as a dict with expiry, over all backends."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from receiver.credentials import Secret
from receiver.dispatch.sessions import Key, SessionLost, Sessions
from receiver.storage.protocols import SESSION_LEASE
from tests.storage.session_workers import Workers, soon
from tests.storage.stage import Backend, MemoryBackend, RedisBackend, SqliteBackend

KEYS = (Key("a", 3600.0), Key("b", 60.0))


class Step(NamedTuple):
    """One worker holds a session for ``seconds`` and changes it."""

    worker: int
    key: Key
    put: dict[str, Any]
    remove: set[str]
    fails: bool
    seconds: int
    idle: int


NAMES = st.sampled_from("xyz")
VALUES = st.integers(-(2**63), 2**64 - 1) | st.text() | st.lists(st.booleans())
STEPS = st.builds(
    Step,
    worker=st.integers(0, 1),
    key=st.sampled_from(KEYS),
    put=st.dictionaries(NAMES, VALUES, max_size=2),
    remove=st.sets(NAMES, max_size=2),
    fails=st.booleans(),
    seconds=st.sampled_from([0, 1, int(SESSION_LEASE) + 1]),
    idle=st.sampled_from([0, 30, 61, 3000, 3601]),
)


class Failure(Exception):
    pass


async def take_step(step: Step, sessions: Sessions, backend: Backend, now: dict[str, Any]) -> None:
    async with sessions.open(step.key, until=soon(0)) as session:
        assert dict(session) == now
        for name in step.remove & set(now):
            del session[name]
        session.update(step.put)
        if step.seconds:
            backend.advance(step.seconds)
        if step.fails:
            raise Failure


async def play(steps: list[Step], backend: Backend) -> None:
    workers = Workers()
    pair = [workers.on(backend.sessions()), workers.on(backend.sessions())]
    model: dict[Key, dict[str, Any]] = {key: {} for key in KEYS}
    ends = dict.fromkeys(KEYS, 0.0)
    time = 0.0
    try:
        for step in steps:
            now = model[step.key] if time < ends[step.key] else {}
            wanted = {name: now[name] for name in now if name not in step.remove} | step.put
            outcome: object = None
            try:
                await take_step(step, pair[step.worker], backend, now)
            except (Failure, SessionLost) as error:
                outcome = type(error)
            late = step.seconds >= SESSION_LEASE
            lost = late and not step.fails and (wanted != now or list(wanted) != list(now))
            assert outcome is (Failure if step.fails else SessionLost if lost else None)
            good = outcome is None and not late
            model[step.key] = wanted if good else now
            # Late, it lives as the start of the step let it; else as the end of it did.
            ends[step.key] = time + step.key.life + (SESSION_LEASE if late else step.seconds)
            time += step.seconds + step.idle
            if step.idle:
                backend.advance(step.idle)
    finally:
        await workers.close()


PLAYS = st.lists(STEPS, max_size=8)


@given(PLAYS)
def test_memory_behaves_as_the_model(steps: list[Step]) -> None:
    asyncio.run(play(steps, MemoryBackend()))


@settings(max_examples=25)
@given(PLAYS)
def test_a_file_behaves_as_the_model(steps: list[Step]) -> None:
    with TemporaryDirectory() as folder:
        asyncio.run(play(steps, SqliteBackend(Path(folder))))


@settings(
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(PLAYS)
def test_redis_behaves_as_the_model(redis_url: Secret, steps: list[Step]) -> None:
    backend = RedisBackend(redis_url)
    backend.client.flushall()
    asyncio.run(play(steps, backend))
    backend.close()
