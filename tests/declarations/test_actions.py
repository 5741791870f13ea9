"""Declarations: what they become, and how a wrong one is refused with its file and line."""

import functools
import re
from collections.abc import Callable
from typing import Any

import pytest

from receiver.calls import Call
from receiver.credentials import Secret
from receiver.declarations.actions import (
    Action,
    by_identity,
    check_neighbours,
    part_path,
    split_path,
)
from receiver.declarations.ivr import Ivr
from receiver.errors import DeclarationError, MaskError
from receiver.masks import Mask
from receiver.registration import failover_switch, ownership
from receiver.replies import Forward, Repeat, Reply


async def pick(call: Call) -> Reply:
    return Forward("222")


def refused(declare: Callable[[], object], problem: str) -> None:
    with pytest.raises(DeclarationError, match=re.escape(problem)) as caught:
        declare()
    assert re.match(r".*test_actions\.py:[0-9]+$", caught.value.where)
    assert str(caught.value).startswith(caught.value.where + ": ")


def test_a_decorator_adds_a_row_and_hands_the_function_back() -> None:
    ivr = Ivr("8000")
    assert ivr.dtmf("1;2", fallback=Forward("0"))(pick) is pick
    assert ivr.caller("100-199", name="colleague", auth=None, method="GET")(pick) is pick
    assert list(ivr) == [
        Action("8000", "pick", "DTMF", Mask.parse("1;2"), pick, fallback=Forward("0")),
        Action("8000", "colleague", "CALLER", Mask.parse("100-199"), pick, auth=None, method="GET"),
    ]


def test_a_secret_header_is_sent_on_top() -> None:
    action = Ivr("8000").add("DTMF", "1", pick, headers={"X-A": "1"}, secret_header="X-Key")
    assert action.sent_headers(Secret("k")) == {"X-A": "1", "X-Key": "k"}


def test_defaults_are_safe() -> None:
    action = Ivr("8000").add("DTMF", "1", pick)
    assert (action.method, action.auth, action.enabled) == ("POST", "bearer", True)
    assert (action.request_timeout, action.connection_timeout) == (2, 2)
    assert (action.headers, action.fallback) == ({}, None)


def test_identity_path_url_and_headers() -> None:
    action = Ivr("8000").add("DTMF", "1", pick, name="Büro 1", headers={"X-A": "1", "X-B": "a:b"})
    assert action.identity == "8000/Büro 1"
    assert action.path == "/action/8000/Büro 1"
    assert action.url("https://x.example/ivr") == (
        "https://x.example/ivr/action/8000/B%C3%BCro%201"
    )
    assert action.sent_headers(Secret("k")) == {"X-A": "1", "X-B": "a:b"}
    assert "a:b" not in repr(action)


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"name": ""}, "1 to 64 characters"),
        ({"secret_header": "X Key"}, "is no name of a header"),
        ({"secret_header": None}, "is no name of a header"),
        ({"secret_header": "x-a", "headers": {"X-A": "1"}}, "is among headers= too"),
        ({"secret_header": "Authorization"}, "has a meaning in HTTP"),
        ({"secret_header": "X-Forwarded-For"}, "has a meaning in HTTP"),
        ({"secret_header": "X_Key"}, "is no name of a header"),
        ({"secret_header": "X" * 65}, "is no name of a header"),
        ({"secret_header": "user-agent"}, "has a meaning in HTTP"),
        ({"secret_header": "TE"}, "has a meaning in HTTP"),
        ({"headers": {"Receiver-Check": "a"}}, "is used by this service itself"),
        ({"headers": {failover_switch.MARK: "a"}}, "is used by this service itself"),
        ({"headers": {ownership.OWNER: "a"}}, "is used by this service itself"),
        ({"secret_header": ownership.OWNER}, "has a meaning in HTTP"),
        ({"headers": {"X-Forwarded-For": "a"}}, "is set by proxies"),
        ({"secret_header": "Host"}, "has a meaning in HTTP"),
        ({"algorithms": ("MD5", "SHA-256")}, 'algorithms= is for auth="digest" only'),
        ({"auth": "digest", "algorithms": ("SHA-256", "MD5")}, "is none of ('MD5',), ('SHA-256',)"),
        ({"auth": "digest", "algorithms": "MD5"}, "is none of"),
        ({"auth": "digest", "algorithms": []}, "is none of"),
        ({"name": "x" * 65}, "1 to 64 characters"),
        ({"name": "a/b"}, "part of a URL"),
        ({"name": "a?b"}, "part of a URL"),
        ({"name": " a"}, "part of a URL"),
        ({"name": "a\nb"}, "part of a URL"),
        ({"name": ".."}, "change the path"),
        ({"name": "a~2"}, "ends like that of a part of a long mask"),
        ({"name": 5}, "1 to 64 characters"),
        ({"name": "ü" * 64}, "the PBX takes 128"),
        ({"method": "PUT"}, "method='PUT' is none of 'GET', 'POST'"),
        ({"auth": "none"}, "auth='none' is none of 'bearer', 'basic', 'digest', None"),
        ({"request_timeout": 0}, "request_timeout=0 is not a whole number from 1 to 30"),
        ({"request_timeout": 31}, "from 1 to 30"),
        ({"request_timeout": 1.5}, "from 1 to 30"),
        ({"request_timeout": True}, "from 1 to 30"),
        ({"connection_timeout": "2"}, "from 1 to 30"),
        ({"enabled": 1}, "neither True nor False"),
        ({"fallback": "0"}, "fallback must be a reply"),
        ({"headers": "a:b"}, "must be a dictionary"),
        ({"headers": {"a b": "c"}}, "header name 'a b'"),
        ({"headers": {"a&b": "c"}}, "header name 'a&b'"),
        ({"headers": {"a": "b&c"}}, "header 'a'"),
        ({"headers": {"a": " b"}}, "header 'a'"),
        ({"headers": {"a": "b\r\nc"}}, "header 'a'"),
        ({"headers": {"a": "ü"}}, "header 'a'"),
        ({"headers": {"a": 1}}, "header 'a'"),
        ({"headers": {"a": "1", "A": "2"}}, "occurs twice"),
        ({"headers": {"authorization": "Bearer x"}}, "leaves open which one"),
        ({"headers": {"Content-Length": "5"}}, "header 'content-length' frames the request"),
        ({"headers": {"Host": "x"}}, "header 'host' frames the request"),
        ({"uri_without_query": True}, 'uri_without_query= is for auth="digest" only'),
        ({"uri_without_query": 1, "auth": "digest"}, "uri_without_query=1 is neither"),
        ({"finish_key": "##"}, "finish_key='##' is none of '', '#', '*'"),
        ({"max_repeats": 0}, "max_repeats=0 is not a whole number from 1"),
        ({"max_repeats": True}, "max_repeats=True is not a whole number from 1"),
        (
            {"reqest_timeout": 2},
            "reqest_timeout= is no option of an action: did you mean",
        ),
        ({"was": "pick"}, "was='pick' is the name that the action has"),
        ({"was": "a/b"}, "was='a/b': the name 'a/b' becomes part of a URL"),
        ({"was": None}, "was=None: a name has 1 to 64 characters"),
    ],
)
def test_options_beyond_the_vendors_limits(options: dict[str, Any], problem: str) -> None:
    refused(lambda: Ivr("8000").add("DTMF", "1", pick, **options), problem)


def test_limits_themselves_are_allowed() -> None:
    assert Ivr("8000").add("DTMF", "1", pick, max_repeats=1).max_repeats == 1
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", pick, name="x" * 64, request_timeout=30, connection_timeout=1)
    ivr.add("DTMF", "2", pick, headers={"Authorization": "Bearer x"}, auth=None)


def test_masks_beyond_the_vendors_limits() -> None:
    ivr = Ivr("8000")
    refused(lambda: ivr.caller("ALL", name="c")(pick), '"any" matches all callers')
    refused(lambda: ivr.dtmf("1-", name="d")(pick), "digits on both sides")
    refused(lambda: ivr.dtmf("1;" + "2" * 256, name="e")(pick), "an entry of the mask has 256")
    many = ";".join(f"{n:0250}" for n in range(100))
    refused(lambda: ivr.dtmf(many, name="f")(pick), "needs 100 action URLs, 99 are possible")
    with pytest.raises(MaskError):
        ivr.dtmf("")(pick)


def test_a_long_mask_becomes_several_action_urls_of_one_action() -> None:
    ivr = Ivr("8000")
    one = ivr.add("DTMF", ";".join(f"{n:03}" for n in range(64)), pick)
    assert [(name, len(str(mask))) for name, mask in one.parts] == [("pick", 255)]
    long = ivr.add("DTMF", ";".join(f"{n:03}" for n in range(100, 240)), pick, name="long")
    assert [name for name, _ in long.parts] == ["long", "long~2", "long~3"]
    assert ";".join(str(mask) for _, mask in long.parts) == str(long.mask)
    assert long.url("https://x.example", 2) == "https://x.example/action/8000/long/2"
    assert [split_path(part_path(long.path, part)) for part in (1, 2, 99)] == [
        (long.path, long.identity, "", part) for part in (1, 2, 99)
    ]
    for path in (f"{long.path}/1", f"{long.path}/02", f"{long.path}/100", f"{long.path}/2/2"):
        assert split_path(path) is None
    refused(
        lambda: ivr.dtmf(";".join(f"{n:03}" for n in range(300, 370)), name="x" * 63)(pick),
        "has no room for ~2",
    )


def test_a_renamed_action() -> None:
    ivr = Ivr("8000", pbx="north")
    action = ivr.add("DTMF", "1", pick, name="new", was="Old")
    assert action.former is not None
    assert action.former.path == "/action/north/8000/Old"
    assert by_identity([action]) == {"north/8000/new": action, "north/8000/Old": action}
    assert Ivr("8000").add("DTMF", "1", pick, was="Pick").name == "pick"  # another spelling
    assert Ivr("8000").add("DTMF", "1", pick).former is None


def test_a_former_name_is_that_of_one_action() -> None:
    ivr = Ivr("8000")
    ivr.add("DTMF", "1", pick, name="one", was="first")
    declared = "names an action that is declared"
    refused(lambda: ivr.add("DTMF", "2", pick, name="two", was="ONE"), declared)
    refused(lambda: ivr.add("DTMF", "2", pick, name="First"), declared)
    both = "'two' and 'one'"
    refused(lambda: ivr.add("DTMF", "2", pick, name="two", was="first"), both)
    assert [one.name for one in ivr] == ["one"]
    Ivr("8001").add("DTMF", "1", pick, name="first", was="one")
    ivr.add("CALLER", "2", pick, name="two", was="second")


def test_a_decorator_needs_its_parentheses() -> None:
    refused(lambda: Ivr("8000").dtmf(pick), 'a mask is a string such as "1;2;1000-1999"')  # type: ignore[arg-type]
    refused(lambda: Ivr("8000").caller(pick), "not function")  # type: ignore[arg-type]


def test_kinds() -> None:
    refused(lambda: Ivr("8000").add("dtmf", "1", pick), "none of 'DTMF', 'CALLER'")  # type: ignore[arg-type]


@pytest.mark.parametrize("number", ["", "80", "x000", "8" * 65, "８０００"])
def test_an_ivr_is_an_extension_number(number: str) -> None:
    refused(lambda: Ivr(number), "3 to 64 digits")


def test_an_extension_number_is_a_string() -> None:
    refused(lambda: Ivr(8000), 'as a string, as in Ivr("8000"), not int')  # type: ignore[arg-type]


def test_handlers() -> None:
    ivr = Ivr("8000")
    refused(lambda: ivr.add("DTMF", "1", lambda call: Repeat()), "pass name=")
    refused(lambda: ivr.add("DTMF", "1", functools.partial(pick)), "pass name=")
    refused(lambda: ivr.add("DTMF", "1", "pick", name="a"), "a function of one Call")  # type: ignore[arg-type]
    refused(lambda: ivr.add("DTMF", "1", Repeat, name="a"), "exactly one argument")  # type: ignore[arg-type]
    ivr.add("DTMF", "1", functools.partial(pick), name="a")
    ivr.add("DTMF", "2", getattr, name="built-in")  # type: ignore[arg-type]


def test_names_and_inputs_of_one_ivr_are_disjoint() -> None:
    ivr = Ivr("8000")
    ivr.dtmf("1;20-29")(pick)
    refused(lambda: ivr.dtmf("3")(pick), "has an action named 'pick' already")
    refused(lambda: ivr.dtmf("3", name="PICK")(pick), "has an action named 'pick' already")
    refused(lambda: ivr.dtmf("2*", name="b")(pick), 'both match "20"')
    ivr.caller("1", name="other-kind")(pick)
    ivr.dtmf("1", name="switched-off", enabled=False)(pick)


def test_neighbours_are_those_on_the_same_ivr() -> None:
    one, two = Ivr("8000"), Ivr("8001")
    one.dtmf("1")(pick)
    two.dtmf("1")(pick)
    for action in two:
        check_neighbours(action, one)
    assert repr(two) == "Ivr('8001')"


def test_fewer_repeats_than_a_handler_needs_are_refused() -> None:
    class Attempts:
        repeats = 4

        async def __call__(self, call: Call) -> Reply:
            return Repeat()

    refused(
        lambda: Ivr("8000").add("DTMF", "1", Attempts(), name="a", max_repeats=2),
        "up to 4 times (its attempts less one). Leave max_repeats out, or write 4",
    )
