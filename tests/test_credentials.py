"""Derived credentials, and strings that do not print themselves."""

import hmac
import os
import re
import time
from itertools import count

from hypothesis import given
from hypothesis import strategies as st

from receiver.cli import main
from receiver.credentials import Secret, derive, derive_key, draw, stretch
from tests.command_line import CliRunner

SERVICE = Secret("a service secret of some length")


def test_all_keys_come_from_a_stretched_secret() -> None:
    """A guess from a known value, such as a nonce, costs as much as the stretching."""
    key = stretch(Secret("guess"))
    expected = hmac.digest(key, b"nonce\x008000/pick\x001", "sha256")
    assert derive_key(Secret("guess"), "nonce", "8000/pick") == expected
    plain = hmac.digest(b"guess", b"nonce\x008000/pick\x001", "sha256")
    assert expected != plain
    begun = time.process_time()
    stretch(Secret(os.urandom(9).hex()))
    assert time.process_time() - begun > 0.005


def test_a_secret_is_stretched_once() -> None:
    secret = Secret(os.urandom(9).hex())
    before = stretch.cache_info().misses
    for identity in ("8000/pick", "8000/other"):
        derive(secret, identity)
        derive(Secret(secret.reveal()), identity, 2)
    assert stretch.cache_info().misses == before + 1


def test_help_pays_for_no_stretching() -> None:
    before = stretch.cache_info()
    for words in (["--help"], ["serve", "--help"], ["ivrs", "--help"]):
        assert CliRunner().invoke(main, words).exit_code == 0
    assert stretch.cache_info() == before


def test_drawn_credentials_are_of_the_same_form_and_never_the_same() -> None:
    counter = count()
    found = [draw(lambda n: next(counter).to_bytes(n, "little")) for _ in range(2)]
    assert found[0] != found[1]
    for one in found:
        lengths = [len(text.reveal()) for text in (one.password, one.token, one.key)]
        assert [len(one.username), *lengths] == [16, 32, 48, 32]


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


def test_quotes_that_docker_leaves_around_a_secret_are_a_problem() -> None:
    assert Secret('"6d0f2c9ab17e4583"').problem
    assert not Secret("6d0f2c9ab17e4583").problem
