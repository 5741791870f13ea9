"""The requests of the simulated PBX, as values."""

from __future__ import annotations

import hashlib
from typing import Any

import pytest

from receiver.auth import Accepted, AuthRequest, Digest, Refused
from receiver.calls import Call
from receiver.credentials import Credentials, Secret
from receiver.pbx.callback_request import (
    Outgoing,
    answer_challenge,
    first_leg,
    make_request,
    parse_headers,
)
from receiver.pbx.models import ActionUrl

URL = "http://127.0.0.1/action/8000/pick"
CALL = Call("101", "Jason", "888", "Sales", "22", "12345678")
BODY = (
    b'{"from":"101","to":"888","input":"22","from_name":"Jason","account_name":"Sales",'
    b'"session_id":"12345678"}'
)


def action(**fields: Any) -> ActionUrl:
    return ActionUrl(**{"url": URL, "method": "POST", "type": "DTMF", **fields})


def test_get_as_documented() -> None:
    request = make_request(action(method="GET"), CALL)
    assert (request.method, request.body) == ("GET", b"")
    assert request.url == (
        f"{URL}?session_id=12345678&from=101&to=888&input=22&from_name=Jason&account_name=Sales"
    )
    assert [name for name, _ in request.headers] == ["User-Agent", "Accept"]


def test_post_as_documented() -> None:
    request = make_request(action(), CALL)
    assert (request.method, request.url, request.body) == ("POST", URL, BODY)
    assert request.headers[-2:] == (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(BODY))),
    )


def test_values_are_percent_encoded() -> None:
    call = Call("+49 30", "Jürgen & Söhne", "8000", "", "#1", "")
    assert make_request(action(method=""), call).url == (
        f"{URL}?from=%2B49%2030&to=8000&input=%231"
        "&from_name=J%C3%BCrgen%20%26%20S%C3%B6hne&account_name="
    )


def test_a_surrogate_in_a_name_is_sent_as_a_replacement() -> None:
    call = Call(caller_name="\ud800")
    assert b'"from_name":"?"' in make_request(action(), call).body
    assert "from_name=%3F" in make_request(action(method="GET"), call).url


@pytest.mark.parametrize(
    ("fields", "header"),
    [
        ({"auth": "DISABLE"}, None),
        ({"auth": "DIGEST"}, None),
        ({"auth": "BASIC"}, "Basic dXNlcm5hbWU6cGFzc3dvcmQ="),
        ({"auth": "BEARER"}, "Bearer secret"),
        ({"headers": "Authorization:Bearer token123"}, "Bearer token123"),
        ({"headers": "authorization:Bearer x", "auth": "BEARER"}, "Bearer secret"),
    ],
)
def test_credentials(fields: dict[str, str], header: str | None) -> None:
    known = {"username": "username", "password": Secret("password"), "token": Secret("secret")}
    headers = make_request(action(**known, **fields), CALL).headers
    found = [value for name, value in headers if name.lower() == "authorization"]
    assert found == ([header] if header else [])


@pytest.mark.parametrize(
    ("text", "pairs"),
    [
        ("", []),
        ("a:b&c:d", [("a", "b"), ("c", "d")]),
        ("X-Url: http://h:1/ ", [("X-Url", "http://h:1/")]),
        ("nothing&:b& a : &", [("a", "")]),
    ],
)
def test_configured_headers(text: str, pairs: list[tuple[str, str]]) -> None:
    assert parse_headers(text) == pairs


def test_configured_headers_replace_defaults_but_not_framing() -> None:
    text = "X-Site:north&content-type:text/plain&Host:evil&Content-Length:1&Connection:close"
    headers = make_request(action(headers=text), CALL).headers
    assert headers[2:] == (
        ("content-type", "text/plain"),
        ("X-Site", "north"),
        ("Content-Length", str(len(BODY))),
    )


def test_the_first_leg_of_a_post_has_no_body() -> None:
    first = first_leg(make_request(action(auth="DIGEST"), CALL))
    assert first.body == b""
    assert first.headers[-2:] == (("Content-Type", "application/json"), ("Content-Length", "0"))


def test_requests_do_not_print_themselves() -> None:
    assert repr(make_request(action(), CALL)) == "Outgoing(method='POST')"


# Digest --------------------------------------------------------------------------------------

USER = {"auth": "DIGEST", "username": "username", "password": Secret("password")}
PATH = "/action/8000/pick"


def answered(*challenges: str, **fields: Any) -> Outgoing | None:
    asked = action(**(USER | fields))
    return answer_challenge(asked, make_request(asked, CALL), PATH, challenges, "c0ffee")


def authorization(request: Outgoing | None) -> str:
    assert request is not None
    name, value = request.headers[0]
    assert name == "Authorization"
    return value


def md5(*parts: str) -> str:
    return hashlib.md5(":".join(parts).encode(), usedforsecurity=False).hexdigest()


def test_digest_as_libcurl_writes_it() -> None:
    request = answered('Digest realm="r", nonce="n", algorithm=MD5, qop="auth"')
    response = md5(
        md5("username", "r", "password"), "n", "00000001", "c0ffee", "auth", md5("POST", PATH)
    )
    assert authorization(request) == (
        f'Digest username="username", realm="r", nonce="n", uri="{PATH}", cnonce="c0ffee", '
        f'nc=00000001, qop=auth, response="{response}", algorithm=MD5'
    )
    assert request is not None
    assert request.body == BODY


def test_digest_without_qop_and_algorithm() -> None:
    response = md5(md5("username", "r", "password"), "n", md5("POST", PATH))
    assert authorization(answered('Digest realm="r", nonce="n", opaque="o"')) == (
        f'Digest username="username", realm="r", nonce="n", uri="{PATH}", '
        f'response="{response}", opaque="o"'
    )


def test_quotes_are_escaped() -> None:
    value = authorization(answered(r'Digest realm="a\"b\\", nonce="n"', username='user"name'))
    assert r'username="user\"name", realm="a\"b\\", nonce="n"' in value


def test_the_first_digest_challenge_counts() -> None:
    value = authorization(answered("Basic realm=x", 'DIGEST realm="1", nonce="n"', "Digest no"))
    assert 'realm="1"' in value
    assert answered('Digest realm="1"', 'Digest realm="2", nonce="n"') is None


@pytest.mark.parametrize(
    "challenge",
    [
        "Basic realm=x",
        "Digest",
        'Digest realm="r',
        'Digest nonce="n"',
        'Digest realm="r", nonce="n", qop="auth-int"',
        'Digest realm="r", nonce="n", algorithm=MD5-sess',
    ],
)
def test_challenges_that_cannot_be_answered(challenge: str) -> None:
    assert answered(challenge) is None


@pytest.mark.parametrize("algorithm", ["MD5", "SHA-256"])
def test_our_own_verifier_accepts_it(algorithm: Any) -> None:
    scheme = Digest(
        [Credentials("username", Secret("password"), Secret(""))],
        nonce_key=b"k" * 32,
        entropy=bytes,
        algorithms=(algorithm,),
    )
    refused = scheme.check(AuthRequest("POST", PATH), 1000.0)
    assert isinstance(refused, Refused)
    right = authorization(answered(refused.challenges[0]))
    wrong = authorization(answered(refused.challenges[0], password=Secret("passw0rd")))
    assert isinstance(scheme.check(AuthRequest("POST", PATH, (right,)), 1001.0), Accepted)
    assert isinstance(scheme.check(AuthRequest("POST", PATH, (wrong,)), 1001.0), Refused)
