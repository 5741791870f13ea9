"""URLs of actions: what they lead to, however they are spelled."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from receiver.registration.urls import (
    Location,
    is_below,
    key,
    origin,
    parse,
    rebased,
    same,
    shown,
    spelling,
    target,
)

BASE = "https://ivr.example.com/app"
PICK = f"{BASE}/action/8000/pick"

# Every one of these leads to PICK. The first group is answered by the service as it is.
EQUAL = [
    "HTTPS://IVR.Example.com:443/app/action/8000/pick",
    f"{BASE}/action/8000/%70ick",
    f"{BASE}/%61ction/8000/pick",
]
REPAIRED = [
    f"{PICK}/",
    f"{PICK}//",
    f" {PICK} ",
    f"{PICK}#",
    f"{PICK}#part",
    f"{PICK}?x=1",
    f"{PICK}/?x=1#y",
    f"{BASE}//action/8000/pick",
    f"{BASE}/./action/8000/pick",
    f"{BASE}/action/8000/../8000/pick",
    f"{BASE}/action/8000/%2E%2E/8000/pick",
    "https://ivr.example.com./app/action/8000/pick",
    "https://user@ivr.example.com/app/action/8000/pick",
    "https://user:pass@ivr.example.com/app/action/8000/pick",
    "https://@ivr.example.com/app/action/8000/pick",
]


@pytest.mark.parametrize("url", [*EQUAL, *REPAIRED])
def test_a_url_of_the_same_action_is_managed(url: str) -> None:
    assert is_below(url, BASE)
    assert is_below(url, BASE + "/")
    assert same(url, PICK)


@pytest.mark.parametrize("url", EQUAL)
def test_a_spelling_that_is_answered_is_left_as_it_is(url: str) -> None:
    assert spelling(url) == spelling(PICK)


@pytest.mark.parametrize("url", [url for url in REPAIRED if not url.endswith("pick#")])
def test_a_spelling_that_may_not_be_answered_is_distinguished(url: str) -> None:
    assert spelling(url) != spelling(PICK)


@pytest.mark.parametrize(
    ("base", "url"),
    [
        (BASE, f"{BASE}/action/8000/pick/2"),
        (BASE, f"{BASE}/action/8000/pick/99/"),
        (BASE + "/", f"{BASE}/action/8000/p%C3%A9"),
        ("http://h", "http://h:80/action/8000/x"),
        ("http://[::1]:8080", "http://[0:0::1]:8080/action/8000/x"),
        ("https://bücher.example", "https://xn--bcher-kva.example/action/8000/x"),
        ("https://h/action/8000", "https://h/action/8000/action/8000/x"),
        ("https://h/a%2Fb", "https://h/a%2fb/action/8000/x"),
        ("https://h/%C3%A9", "https://h/é/action/8000/x"),
    ],
)
def test_ours(base: str, url: str) -> None:
    assert is_below(url, base)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://ivr.example.com/app/action/8000/pick",
        "https://ivr.example.com:8443/app/action/8000/pick",
        "https://ivr.example.com:0/app/action/8000/pick",
        "https://ivr.example.com.evil.org/app/action/8000/pick",
        "https://ivr.example.com@evil.org/app/action/8000/pick",
        "https://evil.org\\@ivr.example.com/app/action/8000/pick",
        "https://ivr.example.com/application/action/8000/pick",
        "https://ivr.example.com/action/8000/pick",
        "https://ivr.example.com/App/action/8000/pick",
        "https://ivr.example.com/app%2Faction/8000/pick",
        "https://ivr.example.com/app/ac\ttion/8000/pick",
        "https:///app/action/8000/pick",
        f"https://{'a.' * 200}example.com/app/action/8000/pick",
        f"{BASE}/action/8000/a/b",
        f"{BASE}/action/8000/a/1",
        f"{BASE}/action/8000/a/100",
        f"{BASE}/action/8000/../2",
        f"{BASE}/action/8000/a%2Fb",
        f"{BASE}/action/8000/a%252Fb",
        f"{BASE}/action/8000/..",
        f"{BASE}/action/8000/%2E%2E",
        f"{BASE}/action/8000/",
        f"{BASE}/action/action/8000/pick",
        "https://ivr.example.com:port/app/action/8000/pick",
        "https://[::1/app/action/8000/pick",
    ],
)
def test_unmanaged(url: str) -> None:
    assert not is_below(url, BASE)
    assert not same(url, PICK)


def test_nothing_is_managed_without_a_base() -> None:
    assert not is_below(PICK, "ivr.example.com/app")


def test_an_encoded_slash_does_not_divide() -> None:
    assert parse("https://h/a%2Fb") != parse("https://h/a/b")
    assert parse("https://h/a%252Fb") != parse("https://h/a%2Fb")


def test_an_international_name_that_cannot_be_encoded_stays_as_it_is() -> None:
    host = "ü" * 70 + ".example"
    assert parse(f"https://{host}/") == Location("https", host, 443, ())
    assert parse("ftp://h/") == Location("ftp", "h", None, ())


@given(st.lists(st.sampled_from(["a", "action", "8000", "9000", "%2F", "..", ""]), max_size=5))
def test_services_on_one_host_never_own_each_others(parts: list[str]) -> None:
    """A URL belongs to one of two services, for any paths."""
    one, other = "https://h", "/".join(["https://h", *parts])
    if not same(one, other) and is_below(f"{other}/action/8000/x", other):
        assert not is_below(f"{other}/action/8000/x", one)


@given(st.text(max_size=30))
def test_any_text_may_be_given(text: str) -> None:
    for url in (text, f"https://{text}", f"https://h/{text}", f"https://h:{text}/"):
        assert same(url, url)
        assert spelling(url) == spelling(url)
        assert not is_below(url, BASE)
        assert origin(url).isprintable()
        assert shown(url).isprintable()
        assert rebased(url, url, "https://new").isprintable() or parse(url) is None


names = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1).filter(
    lambda name: not set(name) & set("/\\?#%") and name not in (".", "..")
)
paths = st.lists(names, max_size=3)


@st.composite
def respelled(draw: st.DrawFn, segments: list[str]) -> str:
    """The same URL in another spelling."""
    scheme = draw(st.sampled_from(["https", "HTTPS", "hTTps"]))
    host = "".join(draw(st.sampled_from([c, c.upper()])) for c in "ivr.example.com")
    port = draw(st.sampled_from(["", ":443", ":"]))
    user = draw(st.sampled_from(["", "a@", "a:b@"]))
    parts: list[str] = []
    for segment in segments:
        parts += draw(st.sampled_from([[], [""], ["."], ["x", ".."], ["x", "%2e%2E"]]))
        octets = segment.encode()
        whole = "".join(f"%{octet:02x}" for octet in octets)
        parts.append(draw(st.sampled_from([segment, quote(segment, safe=""), whole])))
    end = draw(st.sampled_from(["", "/", "//", "?", "?a=b/c", "#", "#x", "/?a#b"]))
    return f"{scheme}://{user}{host}{draw(st.sampled_from(['', '.']))}{port}/{'/'.join(parts)}{end}"


@given(st.data(), paths, names)
def test_a_url_is_managed_in_every_spelling(data: Any, path: list[str], name: str) -> None:
    base = "/".join(["https://ivr.example.com", *(quote(part, safe="") for part in path)])
    url = f"{base}/action/8000/{quote(name, safe='')}"
    other = data.draw(respelled([*path, "action", "8000", name]))
    assert same(url, other)
    assert key(url) == key(other)
    assert is_below(other, base)
    found = target(other)
    assert found is not None
    assert found[1:] == ("8000", name, "")
    assert same(str(found.base), base)
    assert same(rebased(other, base, "http://new:81/x"), f"http://new:81/x{url[len(base) :]}")


@given(paths, names, paths, names)
def test_other_paths_are_other_urls(
    path: list[str], name: str, other: list[str], another: str
) -> None:
    one, two = (
        "/".join(
            ["https://h", *(quote(part, safe="") for part in [*segments, "action", "8000", n])]
        )
        for segments, n in ((path, name), (other, another))
    )
    assert same(one, two) is ((path, name) == (other, another))


def test_a_label_is_a_segment_of_the_path() -> None:
    url = f"{BASE}/action/north/8000/pick/2"
    assert is_below(url, BASE, "north")
    assert not is_below(url, BASE)
    assert not is_below(url, BASE, "south")
    assert target(f"{BASE}/action/north/8000/2", "north") == (parse(BASE), "8000", "2", "")
    assert target("https://h/8000/pick", "north") is None


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://h:8443/sesame", "https://h:8443/…"),
        ("https://user:sesame@h:443/x", "https://h/…"),
        ("http://[::1]:80/", "http://[::1]/…"),
        ("nothing", "not a URL"),
    ],
)
def test_of_a_foreign_url_the_host_and_the_port_are_shown(url: str, text: str) -> None:
    assert origin(url) == text


@pytest.mark.parametrize(
    ("url", "text"),
    [
        ("https://h:8443/a/b", "https://h:8443/a/b"),
        ("https://h/a?sesame", "https://h/a?***"),
        ("https://h/a#sesame", "https://h/a#***"),
        ("https://h/a#sesame?sesame", "https://h/a#***"),
        ("https://h/a?sesame#sesame", "https://h/a?***"),
        ("https://sesame@h/a", "https://***@h/a"),
        ("https://@h/a", "https://@h/a"),
        ("https://h\n", "https://h\\n"),
    ],
)
def test_of_our_url_what_may_be_a_secret_is_hidden(url: str, text: str) -> None:
    assert shown(url) == text


def test_a_location_is_printed_as_a_url() -> None:
    assert str(parse("https://H:8443/a%20b//é/")) == "https://h:8443/a%20b/%C3%A9"
