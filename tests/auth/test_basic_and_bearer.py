"""Basic and Bearer on values."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth import Accepted, AuthRequest, Basic, Bearer, Open, Refused, Scheme, make_scheme
from receiver.credentials import Credentials, Secret

OLD = Credentials("olduser", Secret("oldpassword"), Secret("oldtoken"))
NEW = Credentials("newuser", Secret("newpassword"), Secret("newtoken"))
BASIC, BEARER = Basic([NEW, OLD]), Bearer([NEW, OLD])
BASIC_CHALLENGE = 'Basic realm="callbacks", charset="UTF-8"'
BEARER_CHALLENGE = 'Bearer realm="callbacks"'


def check(scheme: Scheme, *authorization: str) -> Accepted | Refused:
    return scheme.check(AuthRequest("POST", "/x", authorization), 0)


def basic(text: str) -> str:
    return "Basic " + base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "header",
    [
        basic("newuser:newpassword"),
        basic("olduser:oldpassword"),
        basic("newuser:newpassword").replace("Basic", "BASIC"),
        "  " + basic("newuser:newpassword").replace(" ", "   ") + " ",
    ],
)
def test_basic_accepts(header: str) -> None:
    assert check(BASIC, header) == Accepted()


@pytest.mark.parametrize(
    ("username", "password", "header"),
    [
        ("Aladdin", "open sesame", "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="),
        ("test", "123\N{POUND SIGN}", "Basic dGVzdDoxMjPCow=="),
        ("test", "a:b:c", "Basic dGVzdDphOmI6Yw=="),
    ],
)
def test_the_examples_of_rfc_7617(username: str, password: str, header: str) -> None:
    """Sections 2 and 2.1, and colons in a password."""
    scheme = Basic([Credentials(username, Secret(password), Secret("t"))])
    assert check(scheme, header) == Accepted()


@pytest.mark.parametrize(
    ("header", "reason"),
    [
        (basic("newuser:oldpassword"), "wrong user name or password"),
        (basic("olduser:newpassword"), "wrong user name or password"),
        (basic("newuser:"), "wrong user name or password"),
        (basic("newuser"), "wrong user name or password"),
        (basic(""), "wrong user name or password"),
        (basic("newuser:newpassword\0"), "wrong user name or password"),
        ("Basic", "wrong user name or password"),
        ("Basic !!!!", "not base64"),
        ("Basic bmV3", "wrong user"),
        ("Basic bmV", "not base64"),
        ("Basic ü", "not base64"),
        ("Bearer newtoken", "other credentials"),
        ("Digest x", "other credentials"),
    ],
)
def test_basic_refuses(header: str, reason: str) -> None:
    result = check(BASIC, header)
    assert isinstance(result, Refused)
    assert (result.status, result.challenges) == (401, (BASIC_CHALLENGE,))
    assert reason in result.reason


@pytest.mark.parametrize(
    "header",
    ["Bearer newtoken", "bearer oldtoken", "BEARER  newtoken ", "Bearer Bearer newtoken"],
)
def test_bearer_accepts(header: str) -> None:
    assert check(BEARER, header) == Accepted()


@pytest.mark.parametrize(
    ("header", "challenge"),
    [
        ("Bearer wrong", BEARER_CHALLENGE + ', error="invalid_token"'),
        ("Bearer", BEARER_CHALLENGE + ', error="invalid_token"'),
        ("Bearer Bearer Bearer newtoken", BEARER_CHALLENGE + ', error="invalid_token"'),
        ("Bearer \xff\u20ac\ud800", BEARER_CHALLENGE + ', error="invalid_token"'),
        (basic("newuser:newpassword"), BEARER_CHALLENGE),
        ("newtoken", BEARER_CHALLENGE),
    ],
)
def test_bearer_refuses(header: str, challenge: str) -> None:
    result = check(BEARER, header)
    assert isinstance(result, Refused)
    assert (result.status, result.challenges) == (401, (challenge,))


def test_without_credentials_there_is_a_plain_challenge() -> None:
    assert check(BASIC) == Refused("no credentials", (BASIC_CHALLENGE,))
    assert check(BEARER) == Refused("no credentials", (BEARER_CHALLENGE,))


def test_two_headers_are_a_bad_request() -> None:
    for scheme in (BASIC, BEARER):
        result = check(scheme, basic("newuser:newpassword"), "Bearer newtoken")
        assert result == Refused("more than one Authorization header", status=400)


@given(st.text(max_size=60))
def test_no_other_text_is_accepted_or_raises(header: str) -> None:
    for scheme in (BASIC, BEARER):
        assert isinstance(check(scheme, header), Refused)


def test_schemes_are_made_by_name() -> None:
    def made(auth: object) -> type:
        return type(
            make_scheme(auth, [NEW], nonce_key=b"", entropy=bytes)  # type: ignore[arg-type]
        )

    assert [made(a).__name__ for a in (None, "basic", "bearer", "digest")] == [
        "Open",
        "Basic",
        "Bearer",
        "Digest",
    ]
    assert check(Open()) == Accepted()


def test_missing_configuration_accepts_no_credentials() -> None:
    with pytest.raises(ValueError, match="no credentials"):
        make_scheme("basic", [], nonce_key=b"", entropy=bytes)


def test_the_repr_of_a_request_has_no_credentials() -> None:
    asked = AuthRequest("POST", "/x?input=4111", ("Bearer geheim",), keys=("geheim",))
    assert repr(asked) == "AuthRequest('POST')"
