"""``receiver import``: write the declarations of the IVRs that are on the PBX."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from pathlib import Path

import click

from receiver.cli.common import client, write_file
from receiver.cli.progress_bar import progress_bar
from receiver.declarations import limits
from receiver.errors import PbxError, RegistrationError, SettingsError
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.pbx_client import PbxClient
from receiver.registration.concurrency import for_each
from receiver.registration.imported import FoundIvr, ImportedIvr, import_ivrs, order
from receiver.registration.imported_action_urls import import_action_urls
from receiver.registration.imported_prompts import PromptCopies, PromptCopy
from receiver.registration.imported_python import python_source
from receiver.registration.imported_toml import toml_source
from receiver.registration.ownership import Ownership, owner_mark
from receiver.settings import Settings
from receiver.text import counted, line

_PROMPTS = ("prompt", "transfer_prompt")
_SOURCES = {"python": python_source, "toml": toml_source}


@click.command("import")
@click.argument("names", metavar="[IVR …]", nargs=-1)
@click.option(
    "--format",
    "form",
    type=click.Choice(tuple(_SOURCES)),
    help="What to write; default: toml for a FILE that ends with .toml, else python.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="The file to write, and its folder that of the prompts; default: stdout, no prompts.",
)
@click.option("--yes", is_flag=True, help="Overwrite existing files.")
@click.option(
    "--pbx", "label", default="", metavar="LABEL", help="Which of several PBXs, by its label."
)
def import_command(
    names: tuple[str, ...], form: str | None, out: Path | None, yes: bool, label: str
) -> None:
    """Write the declarations of the IVRs on the PBX, so that receiver plan has nothing to do.

    IVR is a number, a name or an id; without one all IVRs are written. Secrets are left out, such
    as the DISA PIN, and so is what cannot be declared; a comment says why. Action URLs become
    comments.
    """
    if problem := limits.problem_of_label(label):
        raise SettingsError(problem)
    if out is not None and not yes:
        _refuse_existing([out])
    settings = Settings.read(pbx=label, needed=("pbx_url", "pbx_account"))
    copies = PromptCopies()
    whose = _ownership(settings, label)

    async def read() -> list[FoundIvr]:
        async with client(settings) as pbx:
            return await find_ivrs(pbx, names, whose, copies if out else None)

    ivrs = import_ivrs(asyncio.run(read()), settings.pbx_version)
    if not ivrs:
        raise RegistrationError("nothing was written: this account sees no IVR on the PBX")
    form = form or ("toml" if out is not None and out.suffix == ".toml" else "python")
    text = _SOURCES[form](ivrs, label)
    if out is None:
        click.echo(text, nl=False)
    else:
        _write(out, text, copies.files, yes)
    for ivr in ivrs:
        click.echo(_summary(ivr), err=True)
    if out is not None:
        target = out if form == "toml" else f"{out}:app"
        prompts = f" and {counted(len(copies.files), 'prompt')}" if copies.files else ""
        click.echo(f"Wrote {out}{prompts}. Next: receiver plan {target}", err=True)


# the PBX -------------------------------------------------------------------------------------


async def find_ivrs(
    pbx: PbxClient, names: Sequence[str], whose: Ownership | None, copies: PromptCopies | None
) -> list[FoundIvr]:
    """Return IVRs with their action URLs and prompts.

    Parameters:
        pbx: a client of the PBX.
        names: numbers, names or ids; none for all IVRs.
        whose: decides which action URLs are managed; None for none.
        copies: receives the prompts; None downloads none.

    Raises:
        PbxError: the PBX could not be read. A prompt that could not is named in its copy.
        RegistrationError: no IVR has one of ``names``, or several have.
    """
    summaries = {one.id: one for one in [await pbx.ivrs.find(name) for name in names]}
    summaries = summaries or {one.id: one async for one in pbx.ivrs.list()}
    read: dict[str, tuple[Ivr, tuple[ActionUrl, ...]]] = {}
    with progress_bar("reading IVRs") as reading:

        async def read_ivr(ivr: IvrSummary) -> None:
            read[ivr.id] = (
                await pbx.ivrs.show(ivr.id),
                tuple([item async for item in pbx.action_urls(ivr.id).list()]),
            )
            reading(len(read), len(summaries))

        await for_each(summaries.values(), read_ivr)
    found = []
    for ivr, action_urls in sorted(read.values(), key=lambda one: order(one[0])):
        copies_made = {option: await _copy(pbx, ivr, option, copies) for option in _PROMPTS}
        prompts = {option: copy for option, copy in copies_made.items() if copy is not None}
        found.append(FoundIvr(ivr, import_action_urls(action_urls, whose), prompts))
    return found


def _ownership(settings: Settings, label: str) -> Ownership | None:
    """Return what decides which action URLs are managed; None without a public URL."""
    if not settings.public_url:
        return None
    mark = owner_mark(settings.secret, label) if settings.secret else ""
    return Ownership(settings.public_url, label, mark)


async def _copy(
    pbx: PbxClient, ivr: Ivr, option: str, copies: PromptCopies | None
) -> PromptCopy | None:
    """Return the copy of a prompt; None if the IVR has none."""
    name, url = (getattr(ivr, f"{option}_file_{end}") for end in ("name", "url"))
    if not name and not url:
        return None
    if not url:
        return PromptCopy(problem="the PBX shows no URL of it")
    if copies is None:
        return PromptCopy(problem="receiver import --out FILE downloads it")
    content = bytearray()
    try:
        async with pbx.files.download(url) as download:
            async for chunk in download.chunks():
                content += chunk
                if len(content) > copies.longest:
                    return PromptCopy(problem=f"it is longer than {copies.longest} bytes")
    except PbxError as error:
        return PromptCopy(problem=str(error))
    return copies.add(ivr, option, bytes(content))


# files ---------------------------------------------------------------------------------------


def _write(out: Path, text: str, prompts: dict[str, bytes], yes: bool) -> None:
    """Write all files, or none if one exists and is not to be overwritten."""
    files = {out.parent / name: data for name, data in prompts.items()}
    files = {path: data for path, data in files.items() if not _has(path, data)}
    if not yes:
        _refuse_existing(files)
    for path, data in {**files, out: text.encode()}.items():
        write_file(path, data, mode=0o666, replaces=yes)


def _has(path: Path, data: bytes) -> bool:
    try:
        return path.read_bytes() == data
    except OSError:
        return False


def _refuse_existing(paths: Iterable[Path]) -> None:
    if existing := [path for path in paths if path.exists()]:
        raise SettingsError(
            f"{existing[0]} already exists: use --yes to overwrite it, or another --out"
        )


def _summary(ivr: ImportedIvr) -> str:
    """Return a line on what is declared of an IVR, and what is not."""
    parts = [counted(len(ivr.options), "option")]
    parts += [_action_urls(ivr)] if ivr.action_urls else []
    parts += [f"not declared: {', '.join(ivr.left_out)}"] if ivr.left_out else []
    return f"IVR {line(ivr.title)}: {', '.join(parts)}"


def _action_urls(ivr: ImportedIvr) -> str:
    managed = sum(one.managed for one in ivr.action_urls)
    todo = f" ({managed} of this service: declare their actions)" if managed else ""
    return f"{counted(len(ivr.action_urls), 'action URL')}{todo}"
