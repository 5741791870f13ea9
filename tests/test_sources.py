"""Where a callback came from, on values."""

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.sources import Source, Sources, read_address, read_networks

PROXY, PBX, STRANGER = "10.0.0.1", "203.0.113.7", "198.51.100.66"
BEHIND = Sources(read_networks(PBX), read_networks(f"{PROXY}, 10.0.1.0/24 fd00::/8"))


def headers(**sent: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]


def found(peer: str, **sent: str) -> str:
    source = BEHIND.find(peer, headers(**sent))
    return str(source.address) if source.address else "unknown"


@pytest.mark.parametrize(
    ("text", "networks"),
    [
        ("", []),
        ("203.0.113.7", ["203.0.113.7/32"]),
        (" 203.0.113.7,198.51.100.0/24  2001:db8::/48,,", None),
        ("::ffff:192.0.2.0/120", ["192.0.2.0/24"]),
        ("::ffff:192.0.2.1", ["192.0.2.1/32"]),
        ("2001:db8::1", ["2001:db8::1/128"]),
    ],
)
def test_reads_addresses_and_networks(text: str, networks: list[str] | None) -> None:
    expected = networks or ["203.0.113.7/32", "198.51.100.0/24", "2001:db8::/48"]
    assert [str(one) for one in read_networks(text)] == (expected if text.strip() else [])


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("pbx.example.com", "'pbx.example.com' is neither an address nor a network"),
        ("10.0.0.1/24", r"did you mean 10\.0\.0\.0/24\?"),
        ("10.0.0.0/33", "neither"),
        ("10.0.0", "neither"),
        ("0.0.0.0/0", "is everywhere"),
        ("::/0", "is everywhere"),
        ("10.0.0.1;10.0.0.2", "neither"),
    ],
)
def test_says_what_is_neither(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_networks(text)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("::FFFF:c000:201", "192.0.2.1"),
        ("2001:DB8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("", None),
        ("localhost", None),
        ("192.0.2.1:80", None),
        ("0192.0.2.1", None),
    ],
)
def test_one_spelling_for_an_address(text: str, address: str | None) -> None:
    assert read_address(text) == (ip_address(address) if address else None)


def test_without_a_list_everybody_may_ask_and_nobody_is_listed() -> None:
    source = Sources().find(STRANGER, ())
    assert Sources().allows(source)
    assert not Sources().lists(source)
    assert Sources().allows(Sources().find("", ()))


def test_with_a_list_only_who_is_on_it() -> None:
    for peer, allowed in ((PBX, True), ("::ffff:" + PBX, True), (STRANGER, False), ("", False)):
        source = BEHIND.find(peer, ())
        assert (BEHIND.allows(source), BEHIND.lists(source)) == (allowed, allowed)


def test_a_stranger_who_names_another_is_still_himself() -> None:
    for sent in ({"x_forwarded_for": PBX}, {"forwarded": f"for={PBX}"}):
        source = BEHIND.find(STRANGER, headers(**sent))
        assert source == Source(ip_address(STRANGER), shared=True)
        assert not BEHIND.allows(source)


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (PBX, PBX),
        (f"{STRANGER}, {PBX}", PBX),
        (f"{PBX}, {STRANGER}", STRANGER),
        (f"{PBX}, 10.0.1.5", PBX),
        (f"{STRANGER}, {PBX}, 10.0.1.5, fd00::1", PBX),
        ("10.0.1.5, 10.0.1.6", "10.0.1.5"),
        (f"{PBX}:5060", PBX),
        ("[2001:db8::1]:5060", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        (f"::ffff:{PBX}", PBX),
        (f"{PBX}, unknown", "unknown"),
        (f"{PBX}, ", "unknown"),
        ("", "unknown"),
        (f'"{PBX}"', "unknown"),
    ],
)
def test_a_proxy_is_read_from_the_right(told: str, address: str) -> None:
    assert found(PROXY, x_forwarded_for=told) == address


@pytest.mark.parametrize(
    ("told", "address"),
    [
        (f"for={PBX}", PBX),
        (f"for={PBX};proto=https;by={PROXY}", PBX),
        (f'by={PROXY}; FOR="{PBX}:47011"', PBX),
        ('for="[2001:db8:cafe::17]:4711"', "2001:db8:cafe::17"),
        (f"for={PBX}, for={STRANGER}", STRANGER),
        (f"for={STRANGER}, for={PBX}, for=10.0.1.5", PBX),
        (f'host="a, for={PBX}", for={STRANGER}', STRANGER),
        (f'for={STRANGER};host="for={PBX}"', STRANGER),
        ("for=_hidden", "unknown"),
        ("for=unknown", "unknown"),
        (f"xfor={PBX}", "unknown"),
        (f'for="{PBX}', "unknown"),
        ("proto=https", "unknown"),
    ],
)
def test_forwarded_is_read_like_it(told: str, address: str) -> None:
    assert found(PROXY, forwarded=told) == address


def test_several_lines_of_a_header_are_one() -> None:
    lines = [(b"x-forwarded-for", STRANGER.encode()), (b"x-forwarded-for", PBX.encode())]
    assert BEHIND.find(PROXY, lines).address == ip_address(PBX)


def test_two_headers_must_agree() -> None:
    assert found(PROXY, x_forwarded_for=PBX, forwarded=f"for={PBX}") == PBX
    source = BEHIND.find(PROXY, headers(x_forwarded_for=STRANGER, forwarded=f"for={PBX}"))
    assert source.address is None
    assert str(source) == (
        "an unknown address (X-Forwarded-For and Forwarded disagree) by way of 10.0.0.1"
    )


def test_a_proxy_that_says_nothing_is_the_source() -> None:
    assert found(PROXY) == PROXY


def test_what_is_said_for_the_log() -> None:
    assert str(BEHIND.find(STRANGER, ())) == STRANGER
    assert str(BEHIND.find(PROXY, headers(x_forwarded_for=PBX))) == f"{PBX} by way of {PROXY}"
    assert "does not tell" in str(BEHIND.find("", ()))


ANYTHING = st.text(st.characters(max_codepoint=255), max_size=60)


@given(ANYTHING, st.sampled_from(["x_forwarded_for", "forwarded"]))
def test_nothing_that_is_sent_raises_or_stands_in_the_log(text: str, name: str) -> None:
    source = BEHIND.find(PROXY, [(name.replace("_", "-").encode(), text.encode("latin-1"))])
    assert source.address is None or source.address == read_address(str(source.address))
    assert str(source).isprintable()


@given(st.lists(st.ip_addresses().map(str), max_size=5), ANYTHING.filter(lambda t: '"' not in t))
def test_what_stands_left_of_a_stranger_counts_for_nothing(hops: list[str], rubbish: str) -> None:
    told = ", ".join([rubbish, *hops, STRANGER])
    assert BEHIND.find(PROXY, [(b"x-forwarded-for", told.encode("latin-1"))]).address == ip_address(
        STRANGER
    )
