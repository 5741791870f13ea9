"""A secret in a header as a further factor."""

import base64

import pytest

from receiver.auth import Accepted, AuthRequest, Open, Refused, SecretHeader, make_scheme
from receiver.auth.digest import response_hash
from receiver.credentials import Credentials, Secret

NEW = Credentials("user", Secret("password"), Secret("token"), Secret("newkey"))
OLD = Credentials("user", Secret("password"), Secret("token"), Secret("oldkey"))
BEARER = ("Bearer token",)
BASIC = ("Basic " + base64.b64encode(b"user:password").decode(),)


def digest_header(username: str, password: str, nonce: str) -> str:
    parts = {"realm": "callbacks", "nonce": nonce, "uri": "/x", "nc": "00000001", "cnonce": "c"}
    parts["qop"] = "auth"
    response = response_hash(
        "MD5", method="POST", username=username, password=password, parameters=parts
    )
    sent = {**parts, "username": username, "response": response}
    return "Digest " + ", ".join(f'{name}="{value}"' for name, value in sent.items())


def make(auth: str | None) -> SecretHeader:
    made = make_scheme(auth, [NEW, OLD], b"k", bytes, keyed=True)  # type: ignore[arg-type]
    assert isinstance(made, SecretHeader)
    return made


@pytest.mark.parametrize("key", ["newkey", "oldkey", " newkey "])
@pytest.mark.parametrize(("auth", "sent"), [("bearer", BEARER), ("basic", BASIC), (None, ())])
def test_both_are_needed(auth: str | None, sent: tuple[str, ...], key: str) -> None:
    scheme = make(auth)
    assert scheme.check(AuthRequest("POST", "/x", sent, keys=(key,)), 0) == Accepted()
    if auth:
        assert isinstance(scheme.check(AuthRequest("POST", "/x", (), keys=(key,)), 0), Refused)


@pytest.mark.parametrize("keys", [(), ("",), ("wrong",), ("newkey", "newkey"), ("ü\ud800",)])
@pytest.mark.parametrize(("auth", "sent"), [("bearer", BEARER), ("basic", BASIC)])
def test_a_wrong_key_looks_like_wrong_credentials(
    auth: str, sent: tuple[str, ...], keys: tuple[str, ...]
) -> None:
    scheme = make(auth)
    refused = scheme.check(AuthRequest("POST", "/x", sent, keys=keys), 0)
    wrong = scheme.check(AuthRequest("POST", "/x", (sent[0] + "x" * 4,), keys=("newkey",)), 0)
    assert isinstance(refused, Refused)
    assert isinstance(wrong, Refused)
    assert (refused.status, refused.challenges) == (wrong.status, wrong.challenges)
    assert refused.wrong == bool(keys)


def test_without_a_scheme_a_wrong_key_is_forbidden() -> None:
    refused = make(None).check(AuthRequest("POST", "/x", keys=("wrong",)), 0)
    assert refused == Refused("a wrong key in the secret header", status=403, wrong=True)
    missing = make(None).check(AuthRequest("POST", "/x"), 0)
    assert missing == Refused("no key in the secret header", status=403)


@pytest.mark.parametrize("keys", [(), ("wrong",)])
def test_a_wrong_key_never_reveals_that_the_password_was_right(keys: tuple[str, ...]) -> None:
    """A nonce must not be called stale either."""
    scheme = make("digest")
    said = set()
    for password in ("password", "wrong"):
        sent = digest_header(NEW.username, password, nonce="of no service")
        refused = scheme.check(AuthRequest("POST", "/x", (sent,), keys=keys), 0)
        assert isinstance(refused, Refused)
        said.add((refused.status, refused.stale, "stale" in refused.challenges[0]))
    assert said == {(401, False, False)}


def test_no_key_opens_nothing() -> None:
    with pytest.raises(ValueError, match="without a secret"):
        SecretHeader(Open(), [Credentials("user", Secret("password"), Secret("token"))])
