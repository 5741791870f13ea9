"""All senders, and what each can do.

A mode is an action of the receiver: a scheme, or ``digest-…`` for digest with another challenge.
A sender is tested in the modes of its row only.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.interop.senders.libcurl import libcurl, libcurl_any
from tests.interop.senders.programs import (
    CURL,
    WGET,
    WGET2,
    curl,
    curl_anyauth,
    curl_chunked,
    curl_http_1_0,
    wget,
    wget2,
)
from tests.interop.senders.python import with_aiohttp, with_httpx, with_requests
from tests.interop.senders.scripts import (
    LWP,
    NODE,
    NODE_MODULES,
    PHP_CURL,
    lwp,
    node,
    php_curl,
)
from tests.interop.senders.sent import Need, Sent

OLD = ("bearer", "basic", "digest", "digest-both", "open")  # knows MD5 only
ALL = (*OLD, "digest-sha256")
LOGIN = ("basic", "digest", "digest-both", "digest-sha256")
BOTH = ("GET", "POST")


@dataclass(frozen=True, slots=True)
class Sender:
    """A client that stands for the PBX.

    Parameters:
        run: sends the callback and returns everything it read.
        needs: what must be on the machine.
        modes, methods: what it can send.
        keeps: whether it can send several callbacks over one connection.
    """

    name: str
    run: Callable[[Sent], bytes]
    needs: tuple[Need, ...] = ()
    modes: tuple[str, ...] = ALL
    methods: tuple[str, ...] = BOTH
    keeps: bool = True


_NODE = (NODE, NODE_MODULES)

SENDERS = (
    Sender("curl", curl, (CURL,)),
    Sender("curl --anyauth", curl_anyauth, (CURL,), LOGIN),
    Sender("curl --http1.0", curl_http_1_0, (CURL,), keeps=False),
    Sender("curl chunked", curl_chunked, (CURL,), methods=("POST",)),
    Sender("libcurl", libcurl),
    Sender("libcurl ANY", libcurl_any, modes=LOGIN),
    Sender("PHP curl", php_curl, (PHP_CURL,)),
    Sender("wget", wget, (WGET,), OLD),
    # It asks for the same URL only once in one run.
    Sender("wget2", wget2, (WGET2,), keeps=False),
    Sender("httpx", with_httpx),
    Sender("requests", with_requests),
    Sender("aiohttp", with_aiohttp),
    Sender("LWP", lwp, (LWP,), OLD),
    Sender("node fetch", node("fetch"), _NODE, ("bearer", "basic", "open")),
    Sender("digest-fetch", node("digest-fetch"), _NODE, ("basic", "digest", "digest-both")),
    Sender("urllib", node("urllib"), _NODE, OLD),
    Sender("axios", node("axios"), _NODE, ("bearer", "basic", "open")),
    # It signs the path without the query, which is no signature of what it asks for.
    Sender("axios-digest-auth", node("axios"), _NODE, ("digest", "digest-both"), ("POST",)),
    # It always hashes with MD5 and uses the last challenge.
    Sender("request", node("request"), _NODE, ("bearer", "basic", "digest", "open")),
    Sender("needle", node("needle"), _NODE, OLD),
)
