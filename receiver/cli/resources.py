"""``receiver ivrs``, ``servers``, ``holidays``, ``files`` and ``action-urls``: the PBX's resources.

Rule 1: they need only the settings of the PBX: no app, no RECEIVER_SECRET.
Rule 2: the commands of a resource type are generated from a row of `receiver.cli.resources_table`.
Rule 3: a delete needs ``--yes``, or a yes at the terminal.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from receiver.cli.common import json_option
from receiver.cli.resources_files import download, run, upload, upload_prompts
from receiver.cli.resources_input import field_options, gather
from receiver.cli.resources_output import (
    echo_json,
    echo_record,
    echo_table,
    public,
)
from receiver.cli.resources_table import RESOURCES, Resource
from receiver.errors import DeclarationError, SettingsError
from receiver.pbx.checks import parse
from receiver.pbx.collections import Collection, Records
from receiver.pbx.fields import Model
from receiver.pbx.models_ivr import Ivr, IvrStatus, disa_warning
from receiver.pbx.pbx_client import PbxClient
from receiver.pbx.resource_types import ACTION_URL, IVR

F = TypeVar("F", bound=Callable[..., Any])


async def _at(resource: Resource, pbx: PbxClient, ivr: str) -> Any:
    where = (await pbx.ivrs.find(ivr)).id if resource.nested else ""
    return resource.of(pbx, where)


def _list(resource: Resource) -> click.Command:
    def command(machine: bool, ivr: str = "", **options: Any) -> None:
        async def work(pbx: PbxClient) -> list[Any]:
            things: Records[Any, Any] = await _at(resource, pbx, ivr)
            return [item async for item in things.list(**options)]

        found = run(work)
        if machine:
            echo_json([public(item) for item in found])
        else:
            echo_table(resource.columns, found)

    options = [
        click.option("--filter", default="", help="As in: name eq 'Sales'."),
        click.option("--search", default="", help="Words to search for."),
        click.option("--orderby", default="", help="As in: name desc."),
    ]
    counts = [
        click.option("--skip", type=click.IntRange(0), default=0, help="How many to skip."),
        click.option("--top", type=click.IntRange(1), help="How many to list at most."),
    ]
    for option in [*counts, *([] if resource.nested else options)]:
        command = option(command)
    return _made(resource, "list", command, f"List the {resource.type.many}.", named=False)


def _show(resource: Resource) -> click.Command:
    def command(machine: bool, name: str, ivr: str = "") -> None:
        async def work(pbx: PbxClient) -> Any:
            things: Records[Any, Any] = await _at(resource, pbx, ivr)
            return await things.show((await things.find(name)).id)

        found = run(work)
        if machine:
            echo_json(public(found))
        else:
            echo_record(found)

    return _made(resource, "show", command, f"Show {resource.type.one} in full.")


def _create(resource: Resource) -> click.Command:
    def command(
        machine: bool,
        sets: tuple[str, ...],
        source: str | None,
        unchecked: bool,
        ivr: str = "",
        **prompts: str | None,
    ) -> None:
        wanted = gather(resource.type.whole, sets, source)
        item = parse(resource.type.whole, wanted.data)

        async def work(pbx: PbxClient) -> str:
            things: Collection[Any, Any] = await _at(resource, pbx, ivr)
            async with upload_prompts(pbx, prompts) as ids:
                made = parse(resource.type.whole, {**wanted.data, **ids}) if ids else item
                key = await things.create(made, checked=not unchecked)
                _warn(made)
                return key

        made = run(work)
        if machine:
            echo_json({"id": made})
        else:
            click.echo(f"Created {resource.type.one}; its id is {made}.")

    command = field_options(_prompt_options(resource, command))
    text = f"Create {resource.type.one}.{_about(resource)}"
    return _made(resource, "create", command, text, named=False)


def _update(resource: Resource) -> click.Command:
    def command(
        machine: bool,
        name: str,
        sets: tuple[str, ...],
        source: str | None,
        unchecked: bool,
        ivr: str = "",
        **prompts: str | None,
    ) -> None:
        wanted = gather(resource.type.whole, sets, source)
        if not wanted and not any(prompts.values()):
            raise DeclarationError("nothing to change: use --set FIELD=VALUE or --file")

        async def work(pbx: PbxClient) -> Any:
            things: Collection[Any, Any] = await _at(resource, pbx, ivr)
            found = await things.find(name)
            async with upload_prompts(pbx, prompts, found.id) as ids:
                after = await things.update(
                    found.id, {**wanted.data, **ids}, clear=wanted.clear, checked=not unchecked
                )
                _warn(after)
                return after

        after = run(work)
        if machine:
            echo_json(public(after))
        else:
            click.echo(f"Updated {resource.type.one} and read it back.")

    command = field_options(_prompt_options(resource, command))
    text = f"Change fields of {resource.type.one}.{_about(resource)}"
    return _made(resource, "update", command, text)


def _warn(after: Model) -> None:
    """Warn of an IVR that leads to DISA without a PIN."""
    if isinstance(after, Ivr) and (text := disa_warning(after)):
        click.echo(f"Warning: {text}", err=True)


def _delete(resource: Resource) -> click.Command:
    noun = resource.type.noun
    also = " with its action URLs" if resource.type is IVR else ""

    def command(machine: bool, name: str, yes: bool, ivr: str = "") -> None:
        async def work(pbx: PbxClient) -> Any:
            things: Records[Any, Any] = await _at(resource, pbx, ivr)
            found = await things.find(name)
            if not yes:
                confirm(f"delete the {noun} {found.name!r}{also}")
            await things.destroy(found.id)
            return found

        gone = run(work)
        if machine:
            echo_json({"id": gone.id, "deleted": True})
        else:
            click.echo(f"Deleted the {noun} {gone.name!r}{also}.")

    command = click.option("--yes", is_flag=True, help="Delete without asking.")(command)
    return _made(resource, "delete", command, f"Delete {resource.type.one}.")


def _status(resource: Resource) -> click.Command:
    def command(machine: bool, name: str) -> None:
        async def work(pbx: PbxClient) -> Any:
            things = await _at(resource, pbx, "")
            return await things.status((await things.find(name)).id)

        found = run(work)
        status = IvrStatus(status=found) if isinstance(found, str) else found
        if machine:
            echo_json(public(status))
        else:
            echo_record(status)

    return _made(resource, "status", command, f"Show whether {resource.type.one} is online.")


def _about(resource: Resource) -> str:
    if resource.type is ACTION_URL:
        return (
            " Each field is checked before it is sent. There is no check for masks that overlap "
            "with other action URLs, or for a URL that does not answer."
        )
    if resource.type is not IVR:
        return ""
    return (
        " Its pin is the DISA PIN, which the PBX requires (enable_pin) unless it is switched off."
    )


def _prompt_options(resource: Resource, command: F) -> F:
    if resource.type is IVR:
        for name in ("--transfer-prompt", "--prompt"):
            text = f"A WAV file to upload as the {name[2:].replace('-', ' ')}."
            command = click.option(name, metavar="WAV", help=text)(command)
    return command


def confirm(act: str) -> None:
    """Return only after a yes at the terminal.

    Raises:
        SettingsError: there is no terminal; the text names the option to use instead.
    """
    if not sys.stdin.isatty():
        raise SettingsError(f"nothing was changed: to {act}, confirm at a terminal or use --yes")
    click.confirm(f"{act[:1].upper()}{act[1:]}?", abort=True)


def _made(
    resource: Resource, verb: str, command: Callable[..., None], text: str, named: bool = True
) -> click.Command:
    command = json_option(command)
    if named:
        command = click.argument("name", metavar="NAME")(command)
    if resource.nested:
        command = click.argument("ivr", metavar="IVR")(command)
    return click.command(verb, help=text)(command)


_VERBS: dict[str, Callable[[Resource], click.Command]] = {
    "list": _list,
    "show": _show,
    "create": _create,
    "update": _update,
    "delete": _delete,
    "status": _status,
    "upload": lambda resource: upload,
    "download": lambda resource: download,
}


def _group(resource: Resource) -> click.Group:
    group = click.Group(resource.command, help=resource.title)
    for verb in resource.verbs:
        group.add_command(_VERBS[verb](resource), verb)
    return group


GROUPS = {str(group.name): group for group in map(_group, RESOURCES)}
