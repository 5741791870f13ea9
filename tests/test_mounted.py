"""The receiver inside apps of other frameworks: all modes, and its lifespan."""

from __future__ import annotations

import importlib
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import litestar
import pytest
from fastapi import FastAPI
from litestar import types as litestar_types
from sqlalchemy.ext.asyncio import AsyncEngine
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.types import ASGIApp, Receive, Scope, Send

from receiver import Call, Forward, Hangup, Ivr, Receiver, Reply, Secret, Settings
from receiver.server.uvicorn_server import running
from tests.support import ANSWER, FIELDS, MODES, QUERY, SECRET, Counted, credentials, make_app

MOUNTED = ["08_mounted", "19_fastapi", "20_litestar", "21_django"]
NO_LIFESPAN = "callbacks arrive, and no lifespan has run"


def in_starlette(app: Receiver, prefix: str) -> ASGIApp:
    return Starlette(routes=[Mount(prefix, app)], lifespan=app.lifespan)


def in_fastapi(app: Receiver, prefix: str) -> ASGIApp:
    site = FastAPI(lifespan=app.lifespan)
    site.mount(prefix, app)
    return site


def in_litestar(app: Receiver, prefix: str) -> ASGIApp:
    @litestar.asgi(prefix or "/", is_mount=True, copy_scope=True)
    async def mounted(
        scope: litestar_types.Scope, receive: litestar_types.Receive, send: litestar_types.Send
    ) -> None:
        await app(scope, receive, send)  # type: ignore[arg-type] # both mean ASGI

    return litestar.Litestar(
        [mounted], lifespan=[app.lifespan], openapi_config=None, logging_config=None
    )  # type: ignore[return-value]


FRAMEWORKS = pytest.mark.parametrize("mounted", [in_starlette, in_fastapi, in_litestar])


@asynccontextmanager
async def served(site: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with running(site) as url, httpx.AsyncClient(base_url=url) as client:
        yield client


def login(identity: str, mode: str | None) -> Any:
    known = credentials(identity)
    name, password = known.username, known.password.reveal()
    return {
        "basic": httpx.BasicAuth(name, password),
        "digest": httpx.DigestAuth(name, password),
        "bearer": lambda request: _bearer(request, known.token.reveal()),
        None: None,
    }[mode]


def _bearer(request: httpx.Request, token: str) -> httpx.Request:
    request.headers["Authorization"] = f"Bearer {token}"
    return request


# where it is mounted -------------------------------------------------------------------------


@FRAMEWORKS
@pytest.mark.parametrize("prefix", ["/calls", ""])
async def test_every_mode_is_answered_where_the_app_is_mounted(mounted: Any, prefix: str) -> None:
    settings = Settings(secret=SECRET, public_url=f"https://www.example.com{prefix}")
    async with served(mounted(make_app(Counted(), settings), prefix)) as client:
        for mode in MODES:
            for method, query in (("post", ""), ("get", f"?{QUERY}")):
                name = f"{method}-{mode or 'open'}"
                answer = await client.request(
                    method.upper(),
                    f"{prefix}/action/888/{name}{query}",
                    json=FIELDS if method == "post" else None,
                    auth=login(f"888/{name}", mode),
                )
                assert (name, answer.content) == (name, ANSWER)
        assert (await client.get(f"{prefix}/health")).status_code == 200


@FRAMEWORKS
async def test_a_slash_that_was_sent_is_another_path(mounted: Any) -> None:
    async with served(mounted(make_app(Counted()), "/calls")) as client:
        answer = await client.post("/calls/action/888/post-open/", json=FIELDS)
        assert answer.status_code == 404


# its lifespan --------------------------------------------------------------------------------


done: list[str] = []


def note(text: str) -> None:
    done.append(text)


async def work(call: Call) -> Reply:
    call.after(note, "after the answer")
    await call.after.durably(note, "durable")
    return Hangup()


def make_working_app(tmp_path: Path) -> Receiver:
    done.clear()
    ivr = Ivr("888")
    ivr.add("DTMF", "1", work, name="work", auth=None)
    return Receiver(ivr, settings=Settings(secret=SECRET, jobs=Secret(str(tmp_path / "jobs.db"))))


@FRAMEWORKS
async def test_the_lifespan_of_a_mounted_app_waits_for_its_jobs(
    mounted: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with served(mounted(make_working_app(tmp_path), "/calls")) as client:
        assert (await client.post("/calls/action/888/work", json=FIELDS)).status_code == 200
    assert "after the answer" in done
    assert NO_LIFESPAN not in caplog.text


async def test_callbacks_without_a_lifespan_are_warned_of_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    site = Starlette(routes=[Mount("/calls", make_working_app(tmp_path))])
    async with served(site) as client:
        for _ in range(3):
            assert (await client.post("/calls/action/888/work", json=FIELDS)).status_code == 200
    (line,) = [one.getMessage() for one in caplog.records if NO_LIFESPAN in one.getMessage()]
    assert "Starlette(routes=…, lifespan=app.lifespan)" in line


async def test_a_lifespan_can_be_run_again(tmp_path: Path) -> None:
    """The tests of a site do this, each with a separate client."""
    app = make_working_app(tmp_path)
    for count in (1, 2, 3):
        async with served(in_starlette(app, "/calls")) as client:
            assert (await client.post("/calls/action/888/work", json=FIELDS)).status_code == 200
        assert done.count("after the answer") == count
    for count in (4, 5):
        async with served(app) as client:  # the app on its own
            assert (await client.post("/action/888/work", json=FIELDS)).status_code == 200
        assert done.count("after the answer") == count


async def test_an_error_of_the_containing_app_loses_no_job(tmp_path: Path) -> None:
    app = make_working_app(tmp_path)

    async def fail() -> None:
        async with app.lifespan():
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
                assert (await client.post("/action/888/work", json=FIELDS)).status_code == 200
            raise RuntimeError("the database cannot be closed")

    for count in (1, 2):
        with pytest.raises(RuntimeError, match="database"):
            await fail()
        assert done.count("after the answer") == count


async def test_the_lifespan_in_a_lifespan_runs_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    app = make_working_app(tmp_path)
    async with app.lifespan(), served(in_starlette(app, "/calls")) as client:
        assert (await client.post("/calls/action/888/work", json=FIELDS)).status_code == 200
    assert done.count("after the answer") == 1
    async with app.lifespan():
        for site, path in ((in_starlette(app, "/calls"), "/calls"), (app, "")):
            async with served(site) as client:
                await client.post(f"{path}/action/888/work", json=FIELDS)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://x") as client:
            await client.post("/action/888/work", json=FIELDS)
    assert done.count("after the answer") == 4
    assert NO_LIFESPAN not in caplog.text


# the examples --------------------------------------------------------------------------------


def example(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("RECEIVER_SECRET", SECRET.reveal())
    monkeypatch.setenv("RECEIVER_JOBS", str(tmp_path / "jobs.db"))
    return importlib.import_module(f"examples.{name}")


async def ask(client: httpx.AsyncClient, path: str, name: str, **fields: str) -> Any:
    auth = login(f"8000/{name}", "bearer")
    answer = await client.post(
        f"{path}/action/8000/{name}", json=FIELDS | {"to": "8000"} | fields, auth=auth
    )
    return answer.json()


@pytest.mark.parametrize("name", MOUNTED)
async def test_the_example_of_a_framework_answers_callbacks_and_pages(
    name: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO)
    module = example(name, tmp_path, monkeypatch)
    prefix = "" if name == "21_django" else "/calls"
    async with served(module.site) as client:
        assert (await ask(client, prefix, "pick"))["destination"] == "222"
        page = await client.get("/" if name == "08_mounted" else "/picked")
        assert page.status_code == 200
    if name == "08_mounted":
        assert "http /calls/action/8000/pick" in caplog.messages  # the middleware saw it
        assert "picked" in caplog.messages
    else:
        assert module.picked == ["8000"]
    assert NO_LIFESPAN not in caplog.text


async def test_the_example_with_a_database_session(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = example("22_sqlalchemy", tmp_path, monkeypatch)
    engine: AsyncEngine = module.engine
    async with served(module.site) as client:
        async with module.new_session.begin() as database:
            database.add(module.Customer(phone="+4930123456", owner="201"))
        known = await ask(client, "", "find_owner", **{"from": "+4930123456"})
        unknown = await ask(client, "", "find_owner", **{"from": "101"})
    assert (known["destination"], unknown["action"]) == ("201", "repeat")
    await engine.dispose()


async def test_the_example_with_structlog(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    module = example("23_structlog", tmp_path, monkeypatch)
    assert await module.pick(Call(digits="2", ivr="8000", session_id="7")) == Forward("333")
    (line,) = [one for one in caplog.messages if "routed" in one]
    assert line == "event='routed' ivr='8000' to='333' session='7'"


async def test_middleware_of_the_inner_app_sees_no_callback(tmp_path: Path) -> None:
    """This is why the README says where middleware belongs."""
    seen: list[str] = []

    def recording(inner: ASGIApp) -> ASGIApp:
        async def middleware(scope: Scope, receive: Receive, send: Send) -> None:
            seen.append(scope["path"])
            await inner(scope, receive, send)

        return middleware

    app = make_working_app(tmp_path)
    app.starlette.add_middleware(recording)
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x")
    async with app.lifespan(), client:
        await client.get("/health")
        await client.post("/action/888/work", json=FIELDS)
    assert seen == ["/health"]
