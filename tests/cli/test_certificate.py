"""A certificate that is renewed while the service runs."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from receiver.cli.certificate import Certificate
from receiver.server.uvicorn_server import running


@pytest.fixture
def make(program: Callable[[str], str], tmp_path: Path) -> Callable[[str], None]:
    """Make ``certificate`` and ``key`` in the test's folder, with this common name."""

    def run(name: str) -> None:
        command = f"req -x509 -newkey rsa:2048 -nodes -subj /CN={name} -keyout key -out certificate"
        openssl = [program("openssl"), *command.split()]
        subprocess.run(openssl, cwd=tmp_path, check=True, capture_output=True)

    return run


async def shown(url: str) -> bytes:
    """Return the certificate that a new connection gets."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    port = int(url.rpartition(":")[2])
    _, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context)
    found: bytes = writer.get_extra_info("ssl_object").getpeercert(True)
    writer.close()
    await asyncio.gather(writer.wait_closed(), return_exceptions=True)
    return found


async def app(scope: object, receive: object, send: object) -> None:
    """No request gets so far."""


async def test_a_renewed_certificate_is_shown_to_new_connections(
    make: Callable[[str], None], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "receiver")
    make("one")
    certificate = Certificate(tmp_path / "certificate", tmp_path / "key")
    watch = asyncio.create_task(certificate.watch(every=0.001))
    async with running(app, lifespan="off", tls=certificate.context) as url:
        before = await shown(url)
        good = (tmp_path / "key").read_bytes()
        (tmp_path / "key").write_text("half of a ke")
        await until(lambda: "certificate not reloaded" in caplog.text)
        assert await shown(url) == before
        (tmp_path / "key").unlink()  # for a moment
        (tmp_path / "key").write_bytes(good)
        make("two")
        await until(lambda: "certificate reloaded from" in caplog.text)
        async with asyncio.timeout(60):
            while await shown(url) == before:
                pass
    watch.cancel()


async def until(found: Callable[[], object]) -> None:
    async with asyncio.timeout(60):
        while not found():  # noqa: ASYNC110 - what is waited for does not tell
            await asyncio.sleep(0.001)
