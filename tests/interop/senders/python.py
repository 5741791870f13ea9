"""Python's clients: httpx, requests, aiohttp."""

from __future__ import annotations

import asyncio

import aiohttp
import httpx
import requests
from requests.auth import HTTPBasicAuth, HTTPDigestAuth

from tests.interop.senders.sent import TIMEOUT, Sent, ask_all


def with_httpx(sent: Sent) -> bytes:
    login = {
        "basic": httpx.BasicAuth(sent.username, sent.password),
        "digest": httpx.DigestAuth(sent.username, sent.password),
    }.get(sent.scheme)

    def ask(client: httpx.Client) -> bytes:
        return client.request(sent.method, sent.url, content=sent.body or None).content

    return ask_all(sent, lambda: httpx.Client(auth=login, headers=sent.headers), ask)


def with_requests(sent: Sent) -> bytes:
    login = {
        "basic": HTTPBasicAuth(sent.username, sent.password),
        "digest": HTTPDigestAuth(sent.username, sent.password),
    }.get(sent.scheme)

    def ask(session: requests.Session) -> bytes:
        return session.request(
            sent.method,
            sent.url,
            data=sent.body or None,
            headers=sent.headers,
            auth=login,
            timeout=TIMEOUT,
        ).content

    return ask_all(sent, requests.Session, ask)


def with_aiohttp(sent: Sent) -> bytes:
    headers = sent.headers
    if sent.scheme == "basic":
        headers["Authorization"] = aiohttp.encode_basic_auth(sent.username, sent.password)
    digest = aiohttp.DigestAuthMiddleware(sent.username, sent.password)
    middlewares = [digest] if sent.scheme == "digest" else []

    async def send(times: int) -> bytes:
        read = b""
        async with aiohttp.ClientSession(headers=headers, middlewares=middlewares) as session:
            for _ in range(times):
                async with session.request(sent.method, sent.url, data=sent.body or None) as answer:
                    read += await answer.read()
        return read

    async def send_all() -> bytes:
        if not sent.fresh:
            return await send(sent.times)
        return b"".join([await send(1) for _ in range(sent.times)])

    return asyncio.run(send_all())
