"""Derived credentials, and strings that do not print themselves."""

import re

from hypothesis import given
from hypothesis import strategies as st

from receiver.secrets import Secret, derive, derive_key

SERVICE = Secret("a service secret of some length")


@given(st.text(min_size=1), st.integers(1, 100))
def test_fit_every_reading_of_the_vendors_pattern(identity: str, epoch: int) -> None:
    found = derive(SERVICE, identity, epoch)
    for text in (found.username, found.password.reveal(), found.token.reveal()):
        assert re.fullmatch("[a-z0-9]{6,64}", text)


def test_are_the_same_for_every_holder_of_the_secret() -> None:
    assert derive(SERVICE, "8000/pick") == derive(Secret(SERVICE.reveal()), "8000/pick")


def test_differ_by_everything_they_are_made_of() -> None:
    keys = {
        derive_key(SERVICE, "nonce", "8000/pick"),
        derive_key(SERVICE, "token", "8000/pick"),
        derive_key(SERVICE, "nonce", "8000/other"),
        derive_key(SERVICE, "nonce", "8000/pick", epoch=2),
        derive_key(Secret("another one"), "nonce", "8000/pick"),
    }
    assert len(keys) == 5


def test_a_secret_does_not_print_itself() -> None:
    secret = Secret("hush")
    assert "hush" not in f"{secret} {secret!r} {secret!s} {[secret]} {derive(secret, 'x')}"
    assert secret.reveal() == "hush"


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1
    assert Secret("\ud800") == Secret("\ud800")
    assert bool(Secret("a")) is not bool(Secret(""))
