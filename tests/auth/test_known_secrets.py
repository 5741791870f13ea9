"""The comparison with the accepted secrets."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.known_secrets import KnownSecrets
from receiver.credentials import Secret

TEXTS = st.text(min_size=1)


@given(st.lists(TEXTS, min_size=1, max_size=3), TEXTS)
def test_exactly_the_accepted_secrets_match(accepted: list[str], other: str) -> None:
    known = KnownSecrets(map(Secret, accepted))
    assert all(known.match(Secret(text).octets()) for text in accepted)
    assert known.match(Secret(other).octets()) is (other in accepted)


@given(TEXTS, st.binary())
def test_a_part_of_a_secret_and_more_than_it_are_refused(secret: str, more: bytes) -> None:
    known, octets = KnownSecrets([Secret(secret)]), Secret(secret).octets()
    assert not known.match(octets[:-1])
    assert known.match(octets + more) is (more == b"")


@pytest.mark.parametrize("secrets", [[], [Secret("")], [Secret("a"), Secret("")]])
def test_without_a_secret_nothing_is_accepted(secrets: list[Secret]) -> None:
    with pytest.raises(ValueError, match="without a secret"):
        KnownSecrets(secrets)
