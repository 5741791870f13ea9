"""Programs from Debian that are controlled by their command line: curl, wget, wget2."""

from __future__ import annotations

from functools import partial

from tests.interop.senders.sent import Need, Sent, run

CURL = Need("curl", ("curl", "--version"), "apt-get install curl")
WGET = Need("wget", ("wget", "--version"), "apt-get install wget")
WGET2 = Need("wget2", ("wget2", "--version"), "apt-get install wget2")


def _headers(sent: Sent, option: str) -> list[str]:
    return [part for pair in sent.headers.items() for part in (option, ": ".join(pair))]


def curl(sent: Sent, *options: str, how: str = "") -> bytes:
    """curl; ``how`` to log in is the scheme itself if nothing else is said."""
    login = (how or f"--{sent.scheme}", "-u", f"{sent.username}:{sent.password}")
    return run(
        sent,
        *("curl", "-s", *options, *_headers(sent, "-H")),
        *(login if sent.has_login else ()),
        *(("-d", sent.body) if sent.body else ()),
    )


curl_anyauth = partial(curl, how="--anyauth")
"""Asks without credentials, and with the whole body, to see what is wanted."""


def curl_http_1_0(sent: Sent) -> bytes:
    return curl(sent, "--http1.0")


def curl_chunked(sent: Sent) -> bytes:
    """A body of no declared length, which waits for leave to be sent."""
    return curl(sent, "-H", "Transfer-Encoding: chunked", "-H", "Expect: 100-continue")


def _wget(program: str, sent: Sent) -> bytes:
    return run(
        sent,
        *(program, "-q", "-O-", *(f"--header={': '.join(pair)}" for pair in sent.headers.items())),
        *((f"--user={sent.username}", f"--password={sent.password}") if sent.has_login else ()),
        *((f"--post-data={sent.body}",) if sent.body else ()),
    )


wget = partial(_wget, "wget")
wget2 = partial(_wget, "wget2")
