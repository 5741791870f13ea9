"""Access tokens: configured, signed in for, renewed, shared by tasks."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs

import httpx
import pytest

from receiver.credentials import Secret
from receiver.errors import (
    PbxError,
    PbxForbidden,
    PbxInvalid,
    PbxRefused,
    PbxThrottled,
    PbxUnauthorized,
    PbxUnreachable,
    SettingsError,
)
from receiver.pbx.access_tokens import GivenToken, Login
from receiver.pbx.api_errors import ConnectFailed
from receiver.pbx.connection import Connection

PASSWORD = "open-sesame-1"
MISSING: tuple[int, dict[str, Any]] = (404, {})
BAD = (400, {"errors": [{"code": "UNAUTHORIZED", "message": f"no {PASSWORD}"}]})


def pair(n: int, life: object = 1000, **more: Any) -> tuple[int, dict[str, Any]]:
    tokens = {"access_token": f"access{n}", "refresh_token": f"refresh{n}", "expires_in": life}
    return 200, tokens | more


class Pbx:
    """Answers each request with the next of ``script``: a status and JSON, or an exception."""

    def __init__(self, *script: Any, username: str = "ann", domain: str = "acme.example") -> None:
        self.script = list(script)
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.headers: list[httpx.Headers] = []
        self.urls: list[str] = []
        self.now = 0.0
        self.connection = Connection("http://localhost", transport=httpx.MockTransport(self))
        self.login = Login(username, Secret(PASSWORD), domain, clock=lambda: self.now)

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        body: dict[str, Any] = {}
        if request.headers.get("content-type") == "application/x-www-form-urlencoded":
            body = {key: value for key, (value,) in parse_qs(request.content.decode()).items()}
        elif request.content:
            body = json.loads(request.content)
        self.asked.append((request.url.path.removeprefix("/api"), body))
        self.headers.append(request.headers)
        self.urls.append(request.url.raw_path.decode())
        await asyncio.sleep(0)  # lets other tasks in
        step = self.script.pop(0)
        if isinstance(step, Exception):
            raise step
        status, data = step
        return httpx.Response(status, json=data) if data is not None else httpx.Response(status)

    @property
    def paths(self) -> list[str]:
        return [path for path, _ in self.asked]

    async def token(self) -> str:
        return (await self.login.token(self.connection)).reveal()

    async def renew(self, refused: str) -> str:
        return (await self.login.renew(self.connection, Secret(refused))).reveal()


@contextmanager
def refused(match: str, code: str = "UNAUTHORIZED") -> Iterator[None]:
    with pytest.raises(PbxUnauthorized, match=match) as caught:
        yield
    assert caught.value.code == code
    assert PASSWORD not in str(caught.value)


# given ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["abc", " abc\n", "Bearer abc", "bearer  abc "])
async def test_a_given_token_is_used_as_it_is(text: str) -> None:
    pbx, given = Pbx(), GivenToken(Secret(text))
    assert await given.token(pbx.connection) == Secret("abc")
    await given.sign_out(pbx.connection)
    with refused("RECEIVER_PBX_TOKEN"):
        await given.renew(pbx.connection, Secret("abc"))
    assert pbx.asked == []


@pytest.mark.parametrize("text", ["", "  ", "Bearer ", "bearer", "a b", "a\nb", "tokèn"])
def test_a_token_that_cannot_be_sent(text: str) -> None:
    with pytest.raises(SettingsError, match="RECEIVER_PBX_TOKEN"):
        GivenToken(Secret(text))


# signing in ----------------------------------------------------------------------------------


async def test_signing_in_with_json_and_out_again() -> None:
    pbx = Pbx(pair(1), (200, None))
    assert await pbx.token() == await pbx.token() == "access1"
    await pbx.login.sign_out(pbx.connection)
    await pbx.login.sign_out(pbx.connection)
    account = {"username": "ann", "password": PASSWORD, "domain": "acme.example"}
    assert pbx.asked == [("/auth/sign_in", account), ("/auth/sign_out", {})]
    assert "authorization" not in pbx.headers[0]
    assert pbx.headers[1]["authorization"] == "Bearer access1"


@pytest.mark.parametrize("missing", [MISSING, (405, {}), (404, {"errors": [{"code": "UNKNOWN"}]})])
async def test_an_older_pbx_gets_the_form(missing: Any) -> None:
    pbx = Pbx(missing, pair(1), pair(2), (200, None), domain="")
    assert await pbx.token() == "access1"
    assert await pbx.renew("access1") == "access2"
    await pbx.login.sign_out(pbx.connection)
    client_id = "9d806019-75b2-4b3d-bb8b-f5a3a412cc0a"
    account = {"username": "ann", "password": PASSWORD}
    assert pbx.asked == [
        ("/auth/sign_in", account),
        (
            "/login/oauth/token",
            account | {"grant_type": "password", "scope": "all", "client_id": client_id},
        ),
        (
            "/login/oauth/token",
            {
                "grant_type": "refresh_token",
                "refresh_token": "refresh1",
                "client_id": client_id,
            },
        ),
        ("/login/oauth/revoke", {}),
    ]


async def test_the_sign_in_method_is_remembered() -> None:
    pbx = Pbx(MISSING, pair(1, refresh_token=""), pair(2))
    await pbx.token()
    assert await pbx.renew("access1") == "access2"
    assert pbx.paths == ["/auth/sign_in", "/login/oauth/token", "/login/oauth/token"]


@pytest.mark.parametrize(
    "answer", [BAD, (401, {}), (403, None), (404, {"errors": [{"code": "USER_NOT_EXIST"}]})]
)
async def test_a_refused_password_is_never_tried_again(answer: Any) -> None:
    pbx = Pbx(answer)
    for _ in range(3):
        with pytest.raises(PbxUnauthorized, match=r"RECEIVER_PBX_|wrong") as caught:
            await pbx.token()
        assert PASSWORD not in str(caught.value)
    with pytest.raises(PbxUnauthorized):
        await pbx.renew("any")
    assert pbx.paths == ["/auth/sign_in"]


async def test_a_refusal_by_the_older_endpoint_counts_as_well() -> None:
    pbx = Pbx(MISSING, BAD)
    for _ in range(2):
        with refused(r"RECEIVER_PBX_USERNAME.*\(400 UNAUTHORIZED: no \*\*\*\)"):
            await pbx.token()
    assert len(pbx.asked) == 2


async def test_the_error_of_a_blocked_address_has_the_reason_of_the_pbx() -> None:
    denied = {"errors": [{"code": "DENIED", "message": "until 2026-12-01T00:00:00Z"}]}
    with refused("wait.*until 2026-12-01", code="DENIED"):
        await Pbx((400, denied)).token()


async def test_no_endpoint_at_all_points_to_the_url() -> None:
    with refused("RECEIVER_PBX_URL", code="UNKNOWN"):
        await Pbx(MISSING, MISSING).token()


async def test_two_factor_accounts_are_a_clear_error() -> None:
    pbx = Pbx((200, {"two_factor_enabled": True, "token": "half"}))
    for _ in range(2):
        with refused("two-factor", code="TWO_FACTOR"):
            await pbx.token()
    assert len(pbx.asked) == 1


@pytest.mark.parametrize(
    ("step", "error"),
    [
        ((500, {}), PbxRefused),
        ((503, {}), PbxThrottled),
        ((429, {}), PbxThrottled),
        ((200, {}), PbxInvalid),
        ((200, {"access_token": "a b"}), PbxInvalid),
        ((200, None), PbxInvalid),
        (httpx.ConnectError("x"), ConnectFailed),
        (httpx.ReadTimeout("x"), PbxUnreachable),
    ],
)
async def test_other_errors_than_refusals_can_be_retried(step: Any, error: type[Exception]) -> None:
    pbx = Pbx(step, pair(1))
    with pytest.raises(error):
        await pbx.token()
    assert len(pbx.asked) == 1
    assert await pbx.token() == "access1"


# renewing ------------------------------------------------------------------------------------


async def test_a_token_is_renewed_at_four_fifths_of_its_life() -> None:
    pbx = Pbx(pair(1, 1000), pair(2, "10"), pair(3, 0))
    await pbx.token()
    pbx.now = 799
    assert await pbx.token() == "access1"
    pbx.now = 800
    assert await pbx.token() == "access2"
    pbx.now = 808
    assert await pbx.token() == "access3"
    pbx.now = 1e9  # no life was said: until the PBX refuses it
    assert await pbx.token() == "access3"
    assert pbx.asked[1:] == [
        ("/auth/refresh_token", {"refresh_token": "refresh1"}),
        ("/auth/refresh_token", {"refresh_token": "refresh2"}),
    ]
    assert "authorization" not in pbx.headers[1]


async def test_a_refresh_token_stays_if_no_new_one_comes() -> None:
    pbx = Pbx(pair(1), pair(2, refresh_token=None), pair(3))
    await pbx.token()
    await pbx.renew("access1")
    await pbx.renew("access2")
    assert pbx.asked[2] == ("/auth/refresh_token", {"refresh_token": "refresh1"})


@pytest.mark.parametrize("step", [(400, {}), (401, {}), (500, {}), (200, {}), (200, None)])
async def test_a_failed_renewal_leads_to_one_sign_in(step: Any) -> None:
    pbx = Pbx(pair(1), step, pair(2))
    await pbx.token()
    assert await pbx.renew("access1") == "access2"
    assert pbx.paths == ["/auth/sign_in", "/auth/refresh_token", "/auth/sign_in"]


@pytest.mark.allow_secrets  # this PBX repeats the password in its own, inner, message
async def test_a_sign_in_refused_after_a_failed_renewal_is_final() -> None:
    pbx = Pbx(pair(1), BAD, BAD)
    await pbx.token()
    for _ in range(2):
        with refused("_PASSWORD"):
            await pbx.renew("access1")
    assert len(pbx.asked) == 3


async def test_a_renewal_without_a_connection_can_be_retried() -> None:
    pbx = Pbx(pair(1), httpx.ConnectError("x"), pair(2))
    await pbx.token()
    with pytest.raises(ConnectFailed):
        await pbx.renew("access1")
    assert await pbx.renew("access1") == "access2"
    assert pbx.paths[-1] == "/auth/refresh_token"


async def test_many_tasks_sign_in_once_and_renew_once() -> None:
    pbx = Pbx(pair(1), pair(2))
    assert set(await asyncio.gather(*(pbx.token() for _ in range(20)))) == {"access1"}
    assert set(await asyncio.gather(*(pbx.renew("access1") for _ in range(20)))) == {"access2"}
    assert pbx.paths == ["/auth/sign_in", "/auth/refresh_token"]


async def test_many_tasks_try_a_refused_password_once() -> None:
    pbx = Pbx(BAD)
    results = await asyncio.gather(*(pbx.token() for _ in range(20)), return_exceptions=True)
    assert {type(result) for result in results} == {PbxUnauthorized}
    assert len(pbx.asked) == 1


@pytest.mark.parametrize("step", [(500, None), httpx.ConnectError("x")])
async def test_a_sign_out_that_fails_is_no_failure(step: Any) -> None:
    pbx = Pbx(pair(1), step)
    await pbx.token()
    await pbx.login.sign_out(pbx.connection)
    assert pbx.paths[-1] == "/auth/sign_out"


def test_a_login_does_not_print_its_password() -> None:
    assert PASSWORD not in repr(Pbx().login)


# a system administrator in a tenant ----------------------------------------------------------


def administrator(*script: Any) -> Pbx:
    pbx = Pbx(*script)
    clock = lambda: pbx.now  # noqa: E731
    pbx.login = Login("admin", Secret(PASSWORD), tenant="t/1", clock=clock)
    return pbx


async def test_a_system_administrator_switches_with_each_new_token() -> None:
    pbx = administrator(pair(1), (200, None), pair(2), (200, None), (200, None))
    assert await pbx.token() == await pbx.token() == "access1"
    assert await pbx.renew("access1") == "access2"
    await pbx.login.sign_out(pbx.connection)
    assert pbx.paths == [
        "/auth/sign_in",
        "/tenants/switch",
        "/auth/refresh_token",
        "/tenants/switch",
        "/auth/sign_out",
    ]
    assert pbx.asked[1][1] == {}
    tokens = [headers.get("authorization") for headers in pbx.headers]
    assert tokens == [None, "Bearer access1", None, "Bearer access2", "Bearer access2"]
    assert pbx.urls[1] == "/api/tenants/switch?id=t%2F1"


async def test_a_refused_switch_is_final_and_signs_out() -> None:
    pbx = administrator(pair(1), (403, {}), (200, None))
    for _ in range(2):
        with pytest.raises(PbxForbidden, match=r"tenant 't/1': only a system administrator.*403"):
            await pbx.token()
    assert pbx.paths == ["/auth/sign_in", "/tenants/switch", "/auth/sign_out"]


@pytest.mark.parametrize("step", [(500, {}), (503, {}), httpx.ConnectError("x")])
async def test_a_switch_that_failed_for_now_can_be_tried_again(step: Any) -> None:
    pbx = administrator(pair(1), step, (200, None), pair(2), (200, None))
    with pytest.raises(PbxError):
        await pbx.token()
    assert await pbx.token() == "access2"


async def test_a_given_token_switches_once() -> None:
    pbx = Pbx((503, None), (200, None))
    given = GivenToken(Secret("abc"), tenant="7")
    with pytest.raises(PbxThrottled):
        await given.token(pbx.connection)
    results = await asyncio.gather(*(given.token(pbx.connection) for _ in range(5)))
    assert set(results) == {Secret("abc")}
    assert pbx.paths == ["/tenants/switch", "/tenants/switch"]


def test_a_user_of_a_tenant_cannot_switch() -> None:
    with pytest.raises(SettingsError, match="cannot switch"):
        Login("ann", Secret(PASSWORD), "acme.example", tenant="7")
