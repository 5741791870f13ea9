"""The limits of an action URL: the vendor's, and those of this service.

Each check takes one plain value and returns the problem as text, empty if it is valid.

Source: ``POST /ivrs/{id}/action_urls`` of the PBX's REST API, and "Managing Virtual Receptionist".
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Mapping

from receiver.auth.probe_token import HEADER as MARK
from receiver.calls import Call
from receiver.masks import All, Mask

NAME = 64
"""Longest name, in characters."""

URL = 128
"""Longest URL, in characters."""

MASK = 255
"""Longest mask, in characters."""

PARTS = 99
"""Maximum number of action URLs for one mask."""

ALGORITHMS = (("MD5",), ("SHA-256",), ("MD5", "SHA-256"))
"""The algorithms that digest can offer. Some clients answer the first challenge that they know,
some the last, and some mix them up: with the other order, three of 23 clients fail."""

TIMEOUTS = range(1, 31)
"""The range of a timeout in whole seconds. The meaning of 0 is not documented."""

REPEATS = range(1, 100)
"""The valid limits of repeats in a row."""

EXTENSION = re.compile(r"[0-9]{3,64}")
"""The extension number of an IVR."""

LABEL = re.compile(r"(?:[a-z][a-z0-9]{0,15})?")
"""The label of one of several PBXs; its first letter distinguishes it from an extension number."""

_TOKEN = re.compile(r"[!#$%'*+.^_`|~0-9A-Za-z-]+")  # of RFC 9110, less the & that separates
_HEADER_VALUE = re.compile(r"[!-%'-~](?:[ -%'-~]*[!-%'-~])?")
_FRAMING = {"host", "content-length", "transfer-encoding", "connection", "expect", "upgrade"}
_PLAIN_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")  # proxies drop names with _
_FORWARDED = {"forwarded", "x-forwarded-for"}
# Of the probe, of failover and of the owner mark.
_OUR_OWN = {MARK.lower(), "receiver-off", "receiver-owner"}
# Headers that clients and proxies add, drop or interpret.
_SENT_ANYWAY = {
    *("accept", "accept-charset", "accept-encoding", "accept-language", "authorization"),
    *("cache-control", "content-encoding", "content-language", "content-location"),
    *("content-range", "content-type", "cookie", "date", "from", "if-match", "if-modified-since"),
    *("if-none-match", "if-range", "if-unmodified-since", "keep-alive", "max-forwards", "origin"),
    *("pragma", "proxy-authorization", "proxy-connection", "range", "referer", "te", "trailer"),
    *("traceparent", "tracestate", "user-agent", "via", "x-forwarded-host", "x-forwarded-port"),
    *("x-forwarded-proto", "x-real-ip", "x-request-id"),
}
_NOT_IN_NAMES = frozenset("/\\?#%")
_PART = re.compile(r".*~[0-9]+")


def problem_of_name(name: object) -> str:
    """Check a name, which is part of the URL's path."""
    if not isinstance(name, str) or not 1 <= len(name) <= NAME:
        return f"a name has 1 to {NAME} characters"
    if not name.isprintable() or name != name.strip() or _NOT_IN_NAMES & set(name):
        return f"the name {name!r} becomes part of a URL: leave out / \\ ? # % and outer spaces"
    if _PART.fullmatch(name):
        return f"the name {name!r} ends like that of a part of a long mask: leave out the ~"
    return f"the name {name!r} would change the path of the URL" if name in (".", "..") else ""


def problem_of_former_name(was: object, name: str) -> str:
    """Check the former name of an action that is now called ``name``; empty is none."""
    if was == "":
        return ""
    if problem := problem_of_name(was):
        return f"was={was!r}: {problem}"
    return f"was={was!r} is the name that the action has: remove it" if was == name else ""


def problem_of_label(label: object) -> str:
    """Check a label, which is part of the URL's path and of the names of variables."""
    if isinstance(label, str) and LABEL.fullmatch(label):
        return ""
    return (
        "pbx= is a label of up to 16 lower-case letters and digits that begins with a letter, as "
        f'in Ivr("8000", pbx="north"): {label!r}'
    )


def problem_of_choice(option: str, value: object, choices: tuple[object, ...]) -> str:
    if value in choices:
        return ""
    return f"{option}={value!r} is none of {', '.join(map(repr, choices))}"


def problem_of_count(option: str, value: object, counts: range) -> str:
    if type(value) is int and value in counts:
        return ""
    return f"{option}={value!r} is not a whole number from {counts[0]} to {counts[-1]}"


def problem_of_repeats(max_repeats: object, needed: int) -> str:
    """Check how often an action repeats the prompt; its handler does so ``needed`` times."""
    if type(max_repeats) is not int or max_repeats not in REPEATS:
        return problem_of_count("max_repeats", max_repeats, REPEATS)
    if max_repeats >= needed:
        return ""
    return (
        f"max_repeats={max_repeats} ends the handler's repetitions early: it repeats the prompt up "
        f"to {needed} times (its attempts less one). Leave max_repeats out, or write {needed}"
    )


def problem_of_mask(kind: object, name: object, mask: Mask) -> str:
    """``kind`` is ``"DTMF"`` or ``"CALLER"``; ``ALL`` is documented for the first only.

    A mask that is longer than `MASK` is split over several action URLs, whose names end in ``~2``,
    ``~3`` and so on; an entry cannot be split.
    """
    if kind == "CALLER" and All() in mask.entries:
        return 'the mask "ALL" is for keys only: "any" matches all callers with a number'
    for entry in mask:
        if len(str(entry)) > MASK:
            return f"an entry of the mask has {len(str(entry))} characters, the PBX takes {MASK}"
    parts = len(mask.split(MASK))
    if parts > PARTS:
        return f"the mask needs {parts} action URLs, {PARTS} are possible: use ranges or * in it"
    if parts > 1 and len(f"{name}~{parts}") > NAME:
        return f"the mask needs {parts} action URLs, and {name!r} has no room for ~{parts}"
    return ""


def problem_of_headers(headers: object, auth: object) -> str:
    """Check headers, which the PBX stores as ``key1:value1&key2:value2`` without escaping."""
    if not isinstance(headers, Mapping):
        return 'headers must be a dictionary such as {"X-Site": "north"}'
    seen: set[str] = set()
    for key, value in headers.items():
        if not isinstance(key, str) or not _TOKEN.fullmatch(key):
            return f"header name {key!r} is not made of letters, digits and -"
        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            return (
                f"header {key!r}: the PBX takes headers as key:value&key:value, so its value may "
                "hold printable ASCII only, without & and without spaces at the ends"
            )
        if key.lower() in seen:
            return f"header {key!r} occurs twice"
        seen.add(key.lower())
    if framing := seen & _FRAMING:
        return f"header {min(framing)!r} frames the request and is the PBX's own: drop it"
    if own := seen & _OUR_OWN:
        return f"header {min(own)!r} is used by this service itself: choose another name"
    if forwarded := seen & _FORWARDED:
        return f"header {min(forwarded)!r} is set by proxies, not by the PBX: drop it"
    if "authorization" in seen and auth is not None:
        return "a header Authorization beside auth= leaves open which one the PBX sends: drop one"
    return ""


def problem_of_secret_header(name: object, headers: Mapping[str, str]) -> str:
    """Check the name of the header in which the PBX sends a secret; empty for no such header."""
    if name == "":
        return ""
    if not isinstance(name, str) or not _PLAIN_NAME.fullmatch(name):
        return f'secret_header={name!r} is no name of a header, as in "X-Receiver-Key"'
    if name.lower() in {key.lower() for key in headers}:
        return f"secret_header={name!r} is among headers= too: drop it there"
    if name.lower() in _FRAMING | _SENT_ANYWAY | _FORWARDED | _OUR_OWN:
        return f"secret_header={name!r} has a meaning in HTTP: choose another name"
    return ""


def problem_of_algorithms(algorithms: object, auth: object) -> str:
    """Check the algorithms that digest offers; no other scheme has any."""
    if algorithms not in ALGORITHMS:
        return f"algorithms={algorithms!r} is none of {', '.join(map(str, ALGORITHMS))}"
    if auth != "digest" and algorithms != ALGORITHMS[0]:
        return 'algorithms= is for auth="digest" only'
    return ""


def problem_of_uri(uri_without_query: object, auth: object) -> str:
    """Check whether the ``uri`` of digest may lack the query; no other scheme has a ``uri``."""
    if not isinstance(uri_without_query, bool):
        return f"uri_without_query={uri_without_query!r} is neither True nor False"
    if uri_without_query and auth != "digest":
        return 'uri_without_query= is for auth="digest" only'
    return ""


def problem_of_handler(handler: object) -> str:
    if not callable(handler):
        return f"the handler must be a function of one Call, not {handler!r}"
    return "" if takes_call(handler) else "the handler must take exactly one argument, the Call"


def takes_call(function: Callable[..., object]) -> bool:
    """Return whether ``function`` can be called with a `Call` alone, as far as can be seen."""
    try:
        inspect.signature(function).bind(Call())
    except TypeError:
        return False
    except ValueError:  # built in, without a signature
        return True
    return True
