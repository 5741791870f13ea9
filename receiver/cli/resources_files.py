"""``receiver files upload`` and ``download``, and how a command talks to the settings' PBX."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click

from receiver.cli.common import client
from receiver.cli.resources_output import echo_json, json_option, progress_bar
from receiver.errors import DeclarationError, PbxError, RegistrationError
from receiver.pbx.audio import examine
from receiver.pbx.client import PbxClient
from receiver.pbx.faults import may_have_happened
from receiver.pbx.files import filename
from receiver.pbx.wire import Download
from receiver.settings import Settings

T = TypeVar("T")


def run(work: Callable[[PbxClient], Awaitable[T]]) -> T:
    """What ``work`` gives, done with the PBX of the settings."""

    async def inside() -> T:
        async with client(Settings.read()) as pbx:
            return await work(pbx)

    return asyncio.run(inside())


@click.command()
@click.argument("path", metavar="WAV")
@click.option("--name", help="What to call it on the PBX, instead of its own name.")
@click.option("--unchecked", is_flag=True, help="Leave it to the PBX to look at the recording.")
@json_option
def upload(path: str, name: str | None, unchecked: bool, machine: bool) -> None:
    """Upload a recording: WAV, PCM, 16 bit, mono, at 16, 32 or 48 kHz."""
    data = _recording(path, unchecked)
    made = run(lambda pbx: _send(pbx, name or path, data))
    if machine:
        echo_json({"id": made})
    else:
        click.echo(f"Uploaded {Path(path).name!r}; its id is {made}.")


@click.command()
@click.argument("source", metavar="[URL]", required=False)
@click.option("--ivr", help="The prompt of this IVR: a number, a name or an id.")
@click.option("--transfer", is_flag=True, help="With --ivr: what is played before a transfer.")
@click.option("--output", metavar="PATH", help="Where to write it; - is stdout.")
@click.option("--yes", is_flag=True, help="Write over a file that is there.")
def download(
    source: str | None, ivr: str | None, transfer: bool, output: str | None, yes: bool
) -> None:
    """Download a prompt: of an IVR, or by the URL or digest that the PBX gives for it."""
    if bool(source) == bool(ivr):
        raise DeclarationError("say what to download: a URL or digest of the PBX, or --ivr")

    async def work(pbx: PbxClient) -> str:
        url = await _prompt_url(pbx, ivr, transfer) if ivr else source or ""
        async with pbx.files.download(url) as found:
            return await _save(found, output, yes)

    path = run(work)
    if path != "-":
        click.echo(f"Wrote {path}.")


@asynccontextmanager
async def upload_prompts(
    pbx: PbxClient, prompts: Mapping[str, str | None]
) -> AsyncIterator[dict[str, str]]:
    """Uploads recordings; gives what an IVR calls their ids. Deletes them if nothing comes of it.

    Parameters:
        prompts: paths by ``prompt`` and ``transfer_prompt``.
    """
    recordings = {name: (path, _recording(path)) for name, path in prompts.items() if path}
    ids: dict[str, str] = {}
    try:
        for name, (path, data) in recordings.items():
            ids[f"{name}_file_id"] = await _send(pbx, path, data)
        yield ids
    except BaseException as error:
        if not (isinstance(error, PbxError) and may_have_happened(error)):
            for made in ids.values():
                with contextlib.suppress(PbxError):
                    await pbx.files.destroy(made)
        raise


def _recording(path: str, unchecked: bool = False) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError:
        raise DeclarationError(f"{path}: there is no such file") from None
    if not unchecked:
        examine(path, data)
    return data


async def _send(pbx: PbxClient, path: str, data: bytes) -> str:
    with progress_bar(Path(path).name, len(data)) as progress:
        return await pbx.files.upload(path, data, progress=progress, checked=False)


async def _prompt_url(pbx: PbxClient, ivr: str, transfer: bool) -> str:
    found = await pbx.ivrs.show((await pbx.ivrs.find(ivr)).id)
    url = found.transfer_prompt_file_url if transfer else found.prompt_file_url
    if not url:
        kind = "transfer prompt" if transfer else "prompt"
        raise RegistrationError(f"the IVR {found.extension_number} {found.name!r} has no {kind}")
    return url


async def _save(found: Download, output: str | None, yes: bool) -> str:
    """Where it was written; nothing half is left."""
    if output == "-":
        async for chunk in found.chunks():
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return "-"
    path = _goal(output or filename(found) or "prompt.wav", yes)
    part = path.with_name(f"{path.name}.part")
    try:
        with part.open("wb") as file, progress_bar(path.name, found.size) as progress:
            async for chunk in found.chunks():
                file.write(chunk)
                progress(file.tell(), found.size or file.tell())
        part.replace(path)
    except OSError as error:
        raise RegistrationError(f"{path} cannot be written: {error.strerror}") from None
    finally:
        part.unlink(missing_ok=True)
    return str(path)


def _goal(name: str, yes: bool) -> Path:
    path = Path(name)
    if path.exists() and not yes:
        raise RegistrationError(f"{path} is there already: use --yes to write over it, or --output")
    return path
