"""The client address of a callback, on values."""

import re
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.auth.client_address import (
    UNIX,
    HostName,
    Source,
    Sources,
    read_address,
    read_allowed,
    read_networks,
    read_proxies,
)

PROXY, PBX, STRANGER = "10.0.0.1", "203.0.113.7", "198.51.100.66"
BEHIND = Sources(read_networks(PBX), read_networks(f"{PROXY}, 10.0.1.0/24 fd00::/8"))


def headers(**sent: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in sent.items()]


def found(peer: str, **sent: str) -> str:
    source = BEHIND.find((peer, 4711), headers(**sent))
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
        ("0.0.0.0/0", "contains every address"),
        ("::/0", "contains every address"),
        ("10.0.0.1;10.0.0.2", "neither"),
    ],
)
def test_says_what_is_neither(text: str, problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        read_networks(text)


@pytest.mark.parametrize("name", ["pbx.example.com", "pbx", "PBX-1.Example.com.", "3com.example"])
def test_host_names_are_allowed_sources(name: str) -> None:
    assert read_allowed(f"{PBX} {name}") == (read_networks(PBX)[0], HostName(name.lower()))


@pytest.mark.parametrize(
    "text", ["10.0.0", "10.0.0.256", "pbx.", "-pbx", "a..b", "pbx:80", "https://pbx", "a_b.10", "ü"]
)
def test_what_is_no_host_name_either(text: str) -> None:
    if text == "pbx.":  # with the dot of the root
        assert read_allowed(text) == (HostName("pbx."),)
        return
    with pytest.raises(ValueError, match="neither an address nor a network"):
        read_allowed(text)


def test_the_unix_socket_is_a_trusted_proxy_only() -> None:
    assert read_proxies("10.0.0.1 UNIX") == (read_networks("10.0.0.1")[0], UNIX)
    with pytest.raises(ValueError, match="'pbx' is neither"):
        read_proxies("pbx")


LISTENING = ("/run/receiver.sock", None)
BEHIND_UNIX = Sources(read_networks(PBX), (*read_networks("10.0.1.0/24"), UNIX))


@pytest.mark.parametrize(
    ("sent", "said", "allowed"),
    [
        ({"x_forwarded_for": PBX}, f"{PBX} by way of a Unix socket", True),
        ({"x_forwarded_for": f"{PBX}, 10.0.1.5"}, f"{PBX} by way of a Unix socket", True),
        ({"forwarded": f"for={STRANGER}"}, f"{STRANGER} by way of a Unix socket", False),
        ({}, "an unknown address (the proxy does not report it) by way of a Unix socket", False),
        (
            {"x_forwarded_for": "x"},
            "an unknown address (x-forwarded-for cannot be read) by way of a Unix socket",
            False,
        ),
    ],
)
def test_a_proxy_on_a_unix_socket(sent: dict[str, str], said: str, allowed: bool) -> None:
    for client in (None, ("", 0)):
        source = BEHIND_UNIX.find(client, headers(**sent), LISTENING)
        assert (str(source), BEHIND_UNIX.allows(source)) == (said, allowed)
        assert source.nearest == source.address


def test_a_peer_without_an_address_is_on_a_unix_socket_only_if_the_server_is() -> None:
    sent = headers(x_forwarded_for=PBX)
    for client in (None, ("x", 0)):
        source = BEHIND_UNIX.find(client, sent, ("127.0.0.1", 8000))
        assert str(source) == "an unknown address (the server does not report it)"
    source = BEHIND_UNIX.find(None, sent, None)  # uvicorn 0.34
    assert source == Source(ip_address(PBX), UNIX)
    source = BEHIND_UNIX.find((STRANGER, 4711), sent, LISTENING)
    assert source == Source(ip_address(STRANGER))
    source = BEHIND.find(None, sent, LISTENING)
    assert "if it is on a Unix socket, add unix to RECEIVER_TRUSTED_PROXIES" in str(source)
    assert not BEHIND.allows(source)


def test_the_addresses_of_host_names_are_allowed() -> None:
    sources = Sources((HostName("pbx"),), hosts={ip_address(PBX)})
    assert sources.allows(sources.find((PBX, 4711), ()))
    assert not sources.allows(sources.find((STRANGER, 4711), ()))
    unknown = Sources((HostName("pbx"),))
    assert not unknown.allows(unknown.find((PBX, 4711), ()))
    assert BEHIND.find((PROXY, 4711), headers(x_forwarded_for="x")).nearest == ip_address(PROXY)


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


def test_without_a_list_every_address_is_allowed_and_none_is_listed() -> None:
    source = Sources().find((STRANGER, 4711), ())
    assert Sources().allows(source)
    assert not Sources().lists(source)
    assert Sources().allows(Sources().find(None, ()))


def test_with_a_list_only_its_addresses_are_allowed() -> None:
    for peer, allowed in ((PBX, True), ("::ffff:" + PBX, True), (STRANGER, False), ("", False)):
        source = BEHIND.find((peer, 4711), ())
        assert (BEHIND.allows(source), BEHIND.lists(source)) == (allowed, allowed)


def test_forwarded_headers_of_an_untrusted_client_are_ignored() -> None:
    for sent in ({"x_forwarded_for": PBX}, {"forwarded": f"for={PBX}"}):
        source = BEHIND.find((STRANGER, 4711), headers(**sent))
        assert source == Source(ip_address(STRANGER))
        assert not BEHIND.allows(source)


@pytest.mark.parametrize(
    ("header", "address"),
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
def test_a_proxy_is_read_from_the_right(header: str, address: str) -> None:
    assert found(PROXY, x_forwarded_for=header) == address


@pytest.mark.parametrize(
    ("header", "address"),
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
        (f'for={PBX};by=", for={STRANGER}', "unknown"),
        (f'for={PBX};by="a\\"", for={STRANGER}', STRANGER),
        (f'for={PBX};by="a\\", for={STRANGER}', "unknown"),
        (f"for={PBX} x, for={STRANGER}", "unknown"),
        (f"for={PBX};for={STRANGER}", "unknown"),
        ('for="\\1\\9\\8.51.100.66"', STRANGER),
        ("proto=https", "unknown"),
    ],
)
def test_forwarded_is_read_like_it(header: str, address: str) -> None:
    assert found(PROXY, forwarded=header) == address


@pytest.mark.parametrize("name", ["x_forwarded_for", "forwarded"])
@pytest.mark.parametrize("lines", [1, 2])
def test_a_header_that_is_too_long_is_not_read(name: str, lines: int) -> None:
    hop = PBX if name == "x_forwarded_for" else f"for={PBX}"
    for length, expected in ((4096, PBX), (4098, "unknown")):
        text = hop.rjust(length // lines)
        sent = [(name.replace("_", "-").encode(), text.encode())] * lines
        source = BEHIND.find((PROXY, 4711), sent)
        assert str(source.address or "unknown") == expected
    assert "is longer than 4096 characters" in str(source)


def test_an_address_that_is_too_long_is_not_read() -> None:
    for length, expected in ((64, "2001:db8::1"), (65, "unknown")):
        assert found(PROXY, x_forwarded_for="2001:db8::1%".ljust(length, "x")) == expected


def test_several_lines_of_a_header_are_one() -> None:
    lines = [(b"x-forwarded-for", STRANGER.encode()), (b"x-forwarded-for", PBX.encode())]
    assert BEHIND.find((PROXY, 4711), lines).address == ip_address(PBX)


@pytest.mark.parametrize("first", ['for=203.0.113.7;by="', 'for=203.0.113.7;by="a\\"", x="'])
def test_an_open_quote_swallows_no_other_line(first: str) -> None:
    lines = [(b"forwarded", first.encode()), (b"forwarded", f"for={STRANGER}".encode())]
    assert BEHIND.find((PROXY, 4711), lines).address is None


def test_two_headers_must_agree() -> None:
    assert found(PROXY, x_forwarded_for=PBX, forwarded=f"for={PBX}") == PBX
    source = BEHIND.find((PROXY, 4711), headers(x_forwarded_for=STRANGER, forwarded=f"for={PBX}"))
    assert source.address is None
    assert str(source) == (
        "an unknown address (X-Forwarded-For and Forwarded disagree) by way of 10.0.0.1"
    )


def test_a_proxy_that_says_nothing_is_the_source() -> None:
    assert found(PROXY) == PROXY


def test_what_is_said_for_the_log() -> None:
    assert str(BEHIND.find((STRANGER, 4711), ())) == STRANGER
    assert (
        str(BEHIND.find((PROXY, 4711), headers(x_forwarded_for=PBX))) == f"{PBX} by way of {PROXY}"
    )
    assert "does not report" in str(BEHIND.find(None, ()))


ANYTHING = st.text(st.characters(max_codepoint=255), max_size=60)


@given(ANYTHING, st.sampled_from([b"x-forwarded-for", b"forwarded"]))
def test_no_header_raises_or_is_logged(text: str, name: bytes) -> None:
    said = str(BEHIND.find((PROXY, 4711), [(name, text.encode("latin-1"))]))
    known = re.fullmatch(r"[0-9a-f.:]+ by way of 10\.0\.0\.1", said)
    assert known or said.startswith("an unknown address (")


PIECES = st.lists(st.sampled_from([f"for={PBX}", "by=", ";", ",", '"', "\\", " ", "a", "x=y"]))


@given(st.lists(st.ip_addresses().map(str), max_size=5), ANYTHING)
def test_addresses_left_of_an_untrusted_one_are_ignored(hops: list[str], rubbish: str) -> None:
    header = ", ".join([rubbish, *hops, STRANGER])
    found = BEHIND.find((PROXY, 4711), [(b"x-forwarded-for", header.encode("latin-1"))])
    assert found.address == ip_address(STRANGER)


@given(PIECES.map("".join), st.booleans())
def test_no_header_changes_the_address_of_an_untrusted_client(text: str, joined: bool) -> None:
    """Only the address that a trusted proxy appended is used, or none."""
    appended = f"for={STRANGER}"
    lines = [f"{text}, {appended}"] if joined else [text, appended]
    found = BEHIND.find((PROXY, 4711), [(b"forwarded", line.encode()) for line in lines])
    assert found.address in (None, ip_address(STRANGER))


def test_what_uvicorn_makes_of_a_proxys_header_is_not_believed() -> None:
    source = BEHIND.find((PBX, 0), headers(x_forwarded_for=PBX))
    assert not BEHIND.allows(source)
    assert "the server itself trusts proxy headers" in str(source)
