"""Whether a PBX can reach a public URL, judged by the addresses."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from receiver.registration.reachability import doubt, range_of


@pytest.mark.parametrize(
    ("public", "pbx", "certain"),
    [
        ("http://127.0.0.1:8000", "https://pbx.example.com:8887", True),
        ("http://localhost:8000", "https://10.0.0.9:8887", True),
        ("http://ivr.localhost", "https://8.8.8.8", True),
        ("http://[::1]:8000", "https://8.8.8.8", True),
        ("http://[::ffff:127.0.0.1]", "https://8.8.8.8", True),
        ("http://0.0.0.0:8000", "https://8.8.8.8", True),
        ("http://10.0.0.5", "https://8.8.8.8", False),
        ("http://169.254.1.1", "https://[2001:4860:4860::8888]", False),
        ("http://[fd00::1]", "https://8.8.8.8", False),
    ],
)
def test_a_public_url_that_a_pbx_may_not_reach(public: str, pbx: str, certain: bool) -> None:
    found = doubt(public, pbx)
    assert found is not None
    assert found.certain is certain


@pytest.mark.parametrize(
    ("public", "pbx"),
    [
        ("http://127.0.0.1:8000", "http://localhost:8888"),
        ("http://127.0.0.1:8000", "http://[::1]:8888"),
        ("http://10.0.0.5", "https://10.0.0.9"),
        ("http://10.0.0.5", "https://pbx.example.com"),
        ("http://ivr.example.com", "https://8.8.8.8"),
        ("https://8.8.4.4", "https://8.8.8.8"),
        ("nothing", "https://8.8.8.8"),
        ("http://127.0.0.1", "nothing"),
    ],
)
def test_a_public_url_that_nothing_speaks_against(public: str, pbx: str) -> None:
    assert doubt(public, pbx) is None


def test_names_count_by_the_addresses_that_were_looked_up() -> None:
    public, private = ip_address("8.8.8.8"), ip_address("10.0.0.5")
    found = doubt("http://ivr", "https://pbx", [private], [public, private])
    assert found is not None
    assert "ivr is a private address, and the PBX at pbx has a public one" in found.text
    assert doubt("http://ivr", "https://pbx", [private], [private]) is None
    assert range_of("ivr") == ""
    assert range_of("10.0.0.5", [public]) == "private"
