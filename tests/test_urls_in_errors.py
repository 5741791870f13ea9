"""No error repeats any part of a URL: a password may be in any of them."""

import re
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sqlalchemy import Engine
from sqlalchemy.exc import OperationalError

from handlers.crm.rest import Rest
from handlers.relay import Relay
from handlers.table import Table
from receiver import Call, DeclarationError, ReceiverError, Secret, Settings, Unavailable
from receiver.background import open_jobs
from receiver.dispatch.sessions import open_sessions
from receiver.storage.backends import open_auth_store
from tests.config.files import of_action, problems
from tests.support import SECRET

QUERY = "SELECT number, destination FROM customers"
GIVEN = "sqlite://app:s3c@ret:w0rd@db.example.com/crm"

# Letters that no error text of this package contains, and delimiters of URLs.
TOKENS = st.lists(
    st.sampled_from(["zq9x", "Qz7J", ":", "@", "/", "?", "#", "[", "]", "%", "=", "&", " ", "1"]),
    max_size=10,
).map("".join)
DATABASES = "sqlite postgresql postgresql+psycopg postgres mysql+pymysql postgresql+asyncpg"
OTHERS = "zq9x https redis rediss unix http sqlite+aiosqlite mssql+Qz7J"
SCHEMES = st.sampled_from(DATABASES.split() + OTHERS.split())
URLS = st.builds("{}://{}".format, SCHEMES, TOKENS)


def settings_of(url: str) -> list[Callable[[], object]]:
    names = ("RECEIVER_PBX_URL", "RECEIVER_PUBLIC_URL", "RECEIVER_NORTH_PBX_URL")
    return [
        lambda name=name: Settings.read({"RECEIVER_SECRET": SECRET.reveal(), name: url}, None)  # type: ignore[misc]
        for name in names
    ]


def takers_of(url: str) -> list[Callable[[], object]]:
    return [
        *settings_of(url),
        lambda: Table(url, query=QUERY),
        lambda: Relay(url),
        lambda: Rest(url, find={"path": "/", "at": ""}),
    ]


def assert_hidden(error: BaseException, *parts: str) -> None:
    shown = "".join(traceback.format_exception_only(error)) + str(error.__cause__ or "")
    assert error.__context__ is None or error.__suppress_context__
    for part in parts:
        assert part not in shown.lower()


@given(URLS)
@example(GIVEN)
@example("postgresql://zq9x:Qz7J@h:Qz7J/zq9x")
@example("sqlite:///x.db?timeout=zq9x")
def test_no_declaration_repeats_a_url(url: str) -> None:
    for take in takers_of(url):
        try:
            take()
        except ReceiverError as error:
            assert_hidden(error, "zq9x", "qz7j", "w0rd", "ret", "s3c", "db.example")


@pytest.mark.parametrize(
    "url",
    [
        "redis://u:zq9x@h:Qz7J/0",
        "redis://:zq9x@[::1/0",
        "redis://h/0?socket_timeout=zq9x",
        "redis://h/0?zq9x=1",
        "redis:zq9x",
        "http://u:zq9x@Qz7J",
        "zq9x:Qz7J@h",
        "~zq9x/Qz7J",
    ],
)
@pytest.mark.parametrize("open_one", [open_auth_store, open_sessions, open_jobs])
def test_no_store_repeats_its_url(url: str, open_one: Any) -> None:
    options = {"life": 60.0} if open_one is open_auth_store else {}
    with pytest.raises(ReceiverError) as caught:
        open_one(Secret(url), **options)
    assert_hidden(caught.value, "zq9x", "qz7j")


@pytest.mark.parametrize(
    ("url", "cure"),
    [
        (GIVEN, "with special characters of the password percent-encoded"),
        ("postgres://u:zq9x@h/x", "write postgresql:// in place of postgres://"),
        ("Postgres+psycopg2://u:zq9x@h/x", "write postgresql:// in place of postgres://"),
        ("postgresql+asyncpg://u:zq9x@h/x", "begin the URL with postgresql+psycopg://"),
        ("sqlite+aiosqlite:///zq9x.db", "begin the URL with sqlite:///"),
        ("mysql+aiomysql://u:zq9x@h/x", "begin the URL with mysql+pymysql://"),
        ("mysql+asyncmy://u:zq9x@h/x", "begin the URL with mysql+pymysql://"),
        ("oracle+oracledb_async://u:zq9x@h/x", "begin the URL with oracle+oracledb://"),
        ("mssql+aioodbc://u:zq9x@h/x", "begin the URL with mssql+pyodbc://"),
        ("nosql://u:zq9x@h/x", "SQLAlchemy knows no such dialect or driver"),
        ("mysql+none://u:zq9x@h/x", "SQLAlchemy knows no such dialect or driver"),
        ("mysql+pymysql://u:zq9x@h/x", "no module 'pymysql'; install it with pip"),
        ("://zq9x", "write it as dialect+driver://"),
        ("sqlite://u:zq9x@h/x", "write it as dialect+driver://"),
    ],
)
def test_a_database_that_cannot_work_is_refused_with_the_cure(url: str, cure: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(cure)) as caught:
        Table(url, query=QUERY)
    assert_hidden(caught.value, "zq9x", "w0rd")
    line = f'{{handler = "table", source = "{url}", query = "{QUERY}"}}'
    assert problems(of_action(line)) == [f"6 ivr.dtmf.then: {caught.value}"]
    line = f'{{handler = "table", source = "$CRM", query = "{QUERY}"}}'
    found = problems(of_action(line), CRM=url)
    assert found == [f"6 ivr.dtmf.then: {caught.value}"]


def test_an_asynchronous_dialect_that_is_not_in_the_list_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from sqlalchemy.dialects.sqlite import pysqlite

    monkeypatch.setattr(pysqlite.SQLiteDialect_pysqlite, "is_async", True)
    with pytest.raises(DeclarationError, match=r"is asynchronous.*name a synchronous one"):
        Table("sqlite://", query=QUERY)


@pytest.mark.parametrize(
    "text",
    [
        'connection to server at "db.example.com" failed: password for "s3c@ret" is "w0rd:x/y"',
        "no database Crm-Main for user S3C%40RET",
        "parameter hunter2 at db.example.com:5433",
    ],
)
async def test_no_error_of_a_driver_repeats_the_url(
    text: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(self: Engine) -> None:
        raise OperationalError("SELECT", {}, Exception(text))

    url = (
        "sqlite+pysqlite:///file:s3c%40ret:w0rd:x/y@db.example.com:5433/crm-main?uri=true&p=hunter2"
    )
    table = Table(url, query=QUERY)
    monkeypatch.setattr(Engine, "connect", fail)
    with pytest.raises(Unavailable):
        await table(Call(caller="101"))
    assert "does not answer the query:" in caplog.text
    assert "***" in caplog.text
    for part in ("s3c", "w0rd", "db.example", "crm-main", "hunter2", "5433"):
        assert part not in caplog.text.lower()
