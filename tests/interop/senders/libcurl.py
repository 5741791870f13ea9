"""libcurl, through pycurl, whose wheel brings a newer one than Debian's curl has.

One handle sends all callbacks: what it learnt of the nonce outlives its connections.
"""

from __future__ import annotations

from functools import partial
from io import BytesIO

import pycurl

from tests.interop.senders.sent import TIMEOUT, Sent

_SCHEMES = {"basic": pycurl.HTTPAUTH_BASIC, "digest": pycurl.HTTPAUTH_DIGEST}


def libcurl(sent: Sent, how: int | None = None) -> bytes:
    """libcurl; ``how`` to log in is the scheme itself if nothing else is said."""
    read = BytesIO()
    handle = pycurl.Curl()
    try:
        handle.setopt(pycurl.URL, sent.url)
        handle.setopt(pycurl.TIMEOUT, TIMEOUT)
        handle.setopt(pycurl.WRITEDATA, read)
        handle.setopt(pycurl.HTTPHEADER, [": ".join(pair) for pair in sent.headers.items()])
        handle.setopt(pycurl.FRESH_CONNECT, sent.fresh)
        if sent.has_login:
            handle.setopt(pycurl.HTTPAUTH, _SCHEMES[sent.scheme] if how is None else how)
            handle.setopt(pycurl.USERNAME, sent.username)
            handle.setopt(pycurl.PASSWORD, sent.password)
        if sent.body:
            handle.setopt(pycurl.POSTFIELDS, sent.body)
        for _ in range(sent.times):
            handle.perform()
    finally:
        handle.close()
    return read.getvalue()


libcurl_any = partial(libcurl, how=pycurl.HTTPAUTH_ANY)
"""Asks without credentials, and with the whole body, to see what is wanted."""
