"""The examples in the docstrings of public names, run as they stand."""

import ast
import inspect
import re
import secrets
import textwrap
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import receiver
from handlers.account import Account
from handlers.balance import Balance
from handlers.crm.hubspot import HubSpot
from handlers.crm.lookup import CallerLookup
from handlers.crm.odoo import Odoo
from handlers.crm.pipedrive import Pipedrive
from handlers.crm.rest import Rest
from handlers.crm.salesforce import Salesforce
from handlers.crm.zoho import Zoho
from handlers.hours import Hours
from handlers.menu import Menu
from handlers.relay import Relay
from handlers.screen import Screen
from handlers.table import Table
from receiver import (
    Acceptance,
    ActionOptions,
    After,
    Call,
    CallEvent,
    Disa,
    Events,
    Forward,
    Hangup,
    Holiday,
    Ivr,
    IvrOptions,
    Mask,
    MenuEntry,
    NumberList,
    OfficeHours,
    OutboundCallerId,
    PhoneNumbers,
    Receiver,
    Repeat,
    Reply,
    Secret,
    Settings,
    Voicemail,
    handler_of,
    is_sensitive,
    repeats_of,
)
from receiver.call_context import Detached
from receiver.testing import Behaviour, Clock, Faults, Phone, PhoneCall
from receiver.upstream import stamp

ROOT = Path(__file__).parent.parent

CRMS = (CallerLookup, HubSpot, Odoo, Pipedrive, Rest, Salesforce, Zoho)
HANDLERS = (Account, Balance, Hours, Menu, Relay, Screen, Table, *CRMS)
TOKENS = (
    *("HUBSPOT_TOKEN", "ODOO_TOKEN", "PIPEDRIVE_TOKEN", "CRM_TOKEN", "SALESFORCE_ID"),
    *("SALESFORCE_SECRET", "ZOHO_REFRESH_TOKEN", "ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET"),
)
KIT = (Phone, PhoneCall, Clock, Faults, Behaviour)
VALUES = (
    *(Acceptance, After, ActionOptions, IvrOptions, Mask, NumberList, PhoneNumbers, Secret),
    *(Settings, handler_of, is_sensitive, repeats_of, stamp),
    *(Disa, Holiday, MenuEntry, OfficeHours, OutboundCallerId, Voicemail),
)
SHOWN: tuple[Any, ...] = (
    *VALUES,
    *KIT,
    *(Receiver.on, CallEvent, Events, Events.on, Events.add),
    *(Receiver, Receiver.lifespan, Ivr, Ivr.dtmf, Ivr.caller, Ivr.add, Forward, Hangup, Repeat),
    *(Call, Call.after, Call.remaining, Call.session, Call.without_finish_key, *HANDLERS),
)


def code_in(text: str) -> list[str]:
    """The Python examples of a docstring: indented after ``::``, which is not of a file."""
    blocks = re.findall(r"^(.*)::\n\n((?: {4}.*\n?|\n)+)", text, re.MULTILINE)
    return [textwrap.dedent(code) for lead, code in blocks if not lead.endswith("In a file")]


async def pick(call: Call) -> Reply:
    return Forward("222")


def work(*args: object) -> None: ...


async def log_call(event: CallEvent) -> None: ...


@pytest.mark.parametrize("thing", SHOWN, ids=lambda thing: getattr(thing, "__qualname__", "after"))
async def test_the_example_of_a_docstring_runs(thing: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from starlette.applications import Starlette
    from starlette.routing import Mount

    monkeypatch.chdir(ROOT)
    for token in TOKENS:
        monkeypatch.setenv(token, "abc123")
    examples = code_in(inspect.getdoc(thing) or "")
    assert examples
    names: dict[str, Any] = {name: getattr(receiver, name) for name in receiver.__all__}
    names |= {one.__name__: one for one in HANDLERS} | {"Starlette": Starlette, "Mount": Mount}
    ivrs = {"ivr": Ivr("8000"), "sales": Ivr("8001"), "support": Ivr("8002")}
    answered = Ivr("8000")
    answered.add("DTMF", "1", pick)
    call, app = Call(context=Detached()), Receiver(answered)
    names |= {**ivrs, "call": call, "app": app, "pick": pick}
    names |= {"write_to_crm": work, "bill": work, "stamp": stamp, "token_hex": secrets.token_hex}
    names |= {one.__name__: one for one in KIT} | {"Path": Path, "datetime": datetime}
    names |= {"events": Events(), "log_call": log_call, "FollowUp": lambda: log_call}
    async with Phone(app) as names["phone"]:
        for code in examples:
            program = compile(code, "docstring", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(program, names)  # noqa: S307
            if inspect.isawaitable(result):
                await result
