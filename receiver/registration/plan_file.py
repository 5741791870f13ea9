"""A plan in a file, which ``receiver apply FILE`` carries out exactly.

Rule 1: the file contains no secret: the plan as ``receiver plan`` prints it, and a fingerprint.
        That is an HMAC of the whole plan, secrets included; its key is derived from
        RECEIVER_SECRET.
Rule 2: the plan in a file is applied only if a new plan, made with the same options, is equal to
        it: neither the PBX nor the declarations nor the file have changed since.
Rule 3: what names the app is sealed with RECEIVER_SECRET, and checked before code is loaded: an
        edited file runs no other code. (Without that variable, where the app has its settings in
        its code, it cannot be.)
Rule 4: the place of a declaration (file and line) is no part of a plan: the plan may be made on one
        machine and applied on another.

Pure.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import replace
from pathlib import PurePath
from typing import Any, Literal

import msgspec

from receiver.credentials import Secret, derive_key
from receiver.declarations.desired_ivr import DesiredIvr
from receiver.errors import LoadError, RegistrationError
from receiver.registration.changes import Change, Plan, Resource
from receiver.registration.render import as_json, render
from receiver.registration.urls import parse
from receiver.text import line

_OF_APPS = (".py", ".toml")  # suffixes of files that declare an app
_FEW = 10  # names in a sentence


class PlanOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The options of ``receiver plan`` and ``apply`` that decide what a plan contains.

    Attributes:
        take_over: of ``--take-over``.
        force_credentials: of ``--force-credentials``.
        moved_from: the URL of ``--moved-from``; empty without it.
        take_over_events: of ``--take-over-events``.
    """

    take_over: bool = False
    force_credentials: bool = False
    moved_from: str = ""
    take_over_events: bool = False

    @property
    def saved(self) -> PlanOptions:
        """The same, without a user name and a password in the URL."""
        return msgspec.structs.replace(self, moved_from=str(parse(self.moved_from) or ""))


class SavedPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The plan for one PBX.

    Attributes:
        pbx: the label of the PBX.
        public_url: of the service.
        plan: as ``receiver plan`` prints it, for people and for programs, without the places of
            declarations.
        fingerprint: of the whole plan.
    """

    pbx: str
    public_url: str
    plan: dict[str, Any]
    fingerprint: str


class PlanFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The content of a plan file.

    Attributes:
        app: what names the app, as on the command line.
        options: of all its plans.
        plans: one for each PBX.
        seal: of ``app``, see `seal`.
        format: the version of this format.
    """

    app: str
    options: PlanOptions
    plans: tuple[SavedPlan, ...]
    seal: str = ""
    format: Literal["receiver plan 1"] = "receiver plan 1"


def is_possible(path: PurePath) -> bool:
    """Return whether a plan file may have this name; it must not be that of an app."""
    return path.suffix not in _OF_APPS and ":" not in path.name


def save(plan: Plan, secret: Secret) -> SavedPlan:
    """Return what a file contains of ``plan``; ``secret`` is the service's."""
    readable = _readable(plan)
    return SavedPlan(plan.pbx, plan.base, readable, _fingerprint(plan, readable, secret))


def seal(app: str, secret: Secret) -> str:
    """Return the HMAC of what names the app; empty without a secret in the settings."""
    if not secret:
        return ""
    return hmac.digest(derive_key(secret, "plan app", ""), app.encode(), hashlib.sha256).hex()


def check_seal(content: PlanFile, secret: Secret) -> None:
    """Check what names the app, before its code is loaded.

    Raises:
        RegistrationError: it was edited, or the plan was saved with another secret.
    """
    if not hmac.compare_digest(content.seal.encode(), seal(content.app, secret).encode()):
        raise RegistrationError(
            "nothing was done: the plan was saved with another RECEIVER_SECRET, or what names its "
            "app was edited. Save and review a new one with receiver plan --out"
        )


def encode(content: PlanFile) -> bytes:
    """Return the text of a plan file."""
    return msgspec.json.format(msgspec.json.encode(content), indent=2) + b"\n"


def decode(text: bytes, name: str) -> PlanFile:
    """Parse a plan file.

    Parameters:
        text: the content of the file.
        name: of the file, for the error.

    Raises:
        LoadError: it is no plan file.
    """
    try:
        return msgspec.json.decode(text, type=PlanFile)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise LoadError(
            f"{line(name)} is neither an app nor a plan of receiver plan --out: {line(str(error))}"
        ) from None


def check(saved: SavedPlan, now: Plan, secret: Secret) -> None:
    """Check that ``now`` is the plan that was saved.

    Raises:
        RegistrationError: the PBX or the declarations have changed since, or the file was edited.
    """
    readable = _readable(now)
    if not hmac.compare_digest(
        saved.fingerprint.encode(), _fingerprint(now, readable, secret).encode()
    ):
        changed = _changed(saved.plan, readable)
        more = f" and {len(changed) - _FEW} more" if len(changed) > _FEW else ""
        what = ", ".join(changed[:_FEW]) + more or "credentials, or the state of an action URL"
        raise RegistrationError(
            "nothing was done: the PBX, the declarations or the settings have changed since the "
            f"plan was saved ({what}). Save and review a new one with receiver plan --out"
        )
    if saved.plan != readable:
        raise RegistrationError(
            "nothing was done: the plan was edited after it was saved. Save and review a new one "
            "with receiver plan --out"
        )


def _readable(plan: Plan) -> dict[str, Any]:
    data = as_json(plan)
    for key in ("holidays", "ivrs", "changes", "event_urls"):
        for change in data[key]:
            del change["where"]
    return {"printed": render(plan).splitlines(), **data}


def _fingerprint(plan: Plan, readable: dict[str, Any], secret: Secret) -> str:
    whole = [plan.base, plan.pbx, plan.owner, readable, [*map(_placeless, plan.all)]]
    text = msgspec.json.encode(whole, enc_hook=_reveal, order="deterministic")
    key = derive_key(secret, "plan", plan.pbx)
    return hmac.digest(key, text, hashlib.sha256).hex()


def _placeless(change: Change[Resource]) -> Change[Resource]:
    resource = change.resource
    if isinstance(resource, DesiredIvr):  # its recordings count, not their paths
        recordings = {  # of spoken ones the names, see `Speech`
            option: replace(one, data=b"") if one.spoken else one
            for option, one in resource.recordings.items()
        }
        bare = replace(resource, where="", prompts={}, recordings=recordings)
        return replace(change, where="", resource=bare)
    return replace(change, where="")


def _reveal(value: Secret) -> str:
    return value.reveal()


def _changed(before: dict[str, Any], now: dict[str, Any]) -> list[str]:
    """Return the names of the lines in which two readable plans differ, or these lines."""
    olds, news = _lines(before), _lines(now)
    names = [line(name)[:100] for name in {**olds, **news} if olds.get(name) != news.get(name)]
    was = before.get("printed")
    return names or [
        text.strip() for text in now["printed"] if isinstance(was, list) and text not in was
    ]


def _lines(plan: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the lines of a plan by IVR and name; that of a file may contain anything."""
    found: dict[str, list[Any]] = {}
    kinds = (("holidays", "holiday ", "name"), ("ivrs", "IVR ", "ivr"), ("changes", "", "ivr"))
    for group, prefix, key in (*kinds, ("event_urls", "", "name")):
        lines = plan.get(group)
        for one in lines if isinstance(lines, list) else ():
            if isinstance(one, dict):
                name = f"{one.get(key)}" + (f"/{one.get('name')}" if group == "changes" else "")
                found.setdefault(prefix + name, []).append(one)
    return found
