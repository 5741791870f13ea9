"""``receiver files upload`` and ``download``, and clients of the PBX for other commands."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import click

from receiver.cli.common import client, json_option, whole_file
from receiver.cli.progress_bar import megabytes, progress_bar
from receiver.cli.resources_output import echo_json
from receiver.declarations.desired_ivr import Prompt
from receiver.errors import DeclarationError, PbxError, RegistrationError, SettingsError
from receiver.pbx.api_errors import may_have_happened
from receiver.pbx.audio import examine
from receiver.pbx.connection import Download
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.pbx_client import PbxClient
from receiver.pbx.prompt_files import filename
from receiver.registration.ivr_changes import Prompts
from receiver.settings import Settings

T = TypeVar("T")


def run(work: Callable[[PbxClient], Awaitable[T]]) -> T:
    """Return the result of ``work`` with a client of the PBX of the settings."""

    async def inside() -> T:
        async with client(Settings.read(needed=("pbx_url", "pbx_account"))) as pbx:
            return await work(pbx)

    return asyncio.run(inside())


@click.command()
@click.argument("path", metavar="WAV")
@click.option("--name", help="Its name on the PBX; default: the name of the file.")
@click.option("--unchecked", is_flag=True, help="Do not check the recording.")
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
@click.option("--transfer", is_flag=True, help="With --ivr: the prompt before a transfer.")
@click.option("--output", metavar="PATH", help="The file to write; - is stdout.")
@click.option("--yes", is_flag=True, help="Overwrite an existing file.")
def download(
    source: str | None, ivr: str | None, transfer: bool, output: str | None, yes: bool
) -> None:
    """Download a prompt: of an IVR, or by the PBX's URL or digest."""
    if bool(source) == bool(ivr):
        raise DeclarationError("nothing to download: give a URL or digest of the PBX, or --ivr")

    async def work(pbx: PbxClient) -> str:
        url = await _prompt_url(pbx, ivr, transfer) if ivr else source or ""
        async with pbx.files.download(url) as found:
            return await _save(found, output, yes)

    path = run(work)
    if path != "-":
        click.echo(f"Wrote {path}.")


@asynccontextmanager
async def upload_prompts(
    pbx: PbxClient, prompts: Mapping[str, str | None], ivr_id: str = ""
) -> AsyncIterator[dict[str, str]]:
    """Upload recordings and yield their ids by the IVR's fields; delete them after an error.

    A recording that the PBX has is not uploaded again, and the one that the IVR plays is left out:
    its name on the PBX contains the digest of its bytes (`receiver.declarations.desired_ivr`).

    Parameters:
        pbx: a client of the PBX.
        prompts: paths by ``prompt`` and ``transfer_prompt``.
        ivr_id: of the IVR to change; empty for a new one.
    """
    recordings = {
        name: Prompt.of(Path(path), _recording(path)) for name, path in prompts.items() if path
    }
    ivr = await pbx.ivrs.show(ivr_id) if recordings and ivr_id else Ivr()
    uploads = Prompts(pbx, lambda prompt: _send(pbx, prompt.name, prompt.data))
    try:
        yield {
            f"{name}_file_id": await uploads.bring(prompt)
            for name, prompt in recordings.items()
            if not prompt.is_of(ivr, name)
        }
    except BaseException as error:
        if not (isinstance(error, PbxError) and may_have_happened(error)):
            for made in uploads.uploaded:
                with contextlib.suppress(PbxError):
                    await pbx.files.destroy(made)
        raise


def _recording(path: str, unchecked: bool = False) -> bytes:
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise DeclarationError(f"{path} cannot be read: {error.strerror}") from None
    if not unchecked:
        examine(path, data)
    return data


async def _send(pbx: PbxClient, path: str, data: bytes) -> str:
    with progress_bar(Path(path).name, megabytes) as progress:
        return await pbx.files.upload(path, data, progress=progress, checked=False)


async def _prompt_url(pbx: PbxClient, ivr: str, transfer: bool) -> str:
    found = await pbx.ivrs.show((await pbx.ivrs.find(ivr)).id)
    url = found.transfer_prompt_file_url if transfer else found.prompt_file_url
    if not url:
        kind = "transfer prompt" if transfer else "prompt"
        raise RegistrationError(f"the IVR {found.extension_number} {found.name!r} has no {kind}")
    return url


async def _save(found: Download, output: str | None, yes: bool) -> str:
    """Save a download and return its path; no partial file is left."""
    if output == "-":
        async for chunk in found.chunks():
            sys.stdout.buffer.write(chunk)
        sys.stdout.buffer.flush()
        return "-"
    path = _goal(output or filename(found) or "prompt.wav", yes)
    done = 0
    with whole_file(path, mode=0o666) as file, progress_bar(path.name, megabytes) as progress:
        async for chunk in found.chunks():
            file.write(chunk)
            done += len(chunk)
            progress(done, found.size or done)
    return str(path)


def _goal(name: str, yes: bool) -> Path:
    path = Path(name)
    if path.exists() and not yes:
        raise SettingsError(f"{path} already exists: use --yes to overwrite it, or --output")
    return path
