"""Check that the running service accepts the credentials of a plan before it is applied.

Rule 1: credentials that the service refuses take every call down, and the PBX accepts them all the
        same. So callbacks with the new credentials are sent to the public URL first, and
        nothing is changed unless the service accepts all of them.
Rule 2: a plan that changes neither credentials nor URLs sends nothing.
Rule 3: one action URL is probed alone, the others only after it was accepted: wrong credentials are
        sent once, so that the service does not throttle.
Rule 4: a service accepts its epoch and the next one, so one action URL is also probed with the
        epoch after that of the command: a service that refuses it is an epoch behind, and the
        operator has not requested a rotation.
Rule 5: ``--unchecked`` is suggested only where the service did not answer.
Rule 6: ``undrain`` sends one probe. Where the PBX hides the credentials, it has those of this
        command, and another secret or epoch of the service stops it; else it has those that the
        PBX keeps, and a service that refuses them stops it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from functools import partial
from typing import NamedTuple

from receiver.credentials import Secret
from receiver.errors import RegistrationError
from receiver.pbx.callback_client import CallbackClient
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_events import EventUrl
from receiver.registration.changes import EVENT_URL, NO_IVR, Change, Plan, Resource
from receiver.registration.compare import carries, hidden_fields
from receiver.registration.concurrency import for_each
from receiver.registration.desired import DesiredActionUrl
from receiver.registration.diagnosis import NUMBER, SECRET, URL, Trouble, is_refusal
from receiver.registration.event_urls import as_action_url
from receiver.registration.probe import FindProtocol, find_trouble, make_callback_client, send_probe
from receiver.registration.urls import key, shown
from receiver.text import line

CONCURRENT_PROBES = 4
"""The number of action URLs that are probed at the same time; more would slow each other."""

_OTHER_CREDENTIALS = Trouble(
    "the PBX has other credentials than the service",
    "receiver apply replaces them and enables the action URLs",
)

_PROBED = {"url", "method", "auth", "username", "password", "token", "headers", "owner"}
"""Differences after which the service may refuse a callback."""


async def check(
    plan: Plan,
    secret: Secret,
    epoch: int,
    callbacks: CallbackClient | None = None,
    *,
    now: float | None = None,
    protocol: FindProtocol | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> None:
    """Send probes to the service; no handler runs.

    Parameters:
        plan: what is about to be applied.
        secret, epoch: those that the plan's credentials are derived from.
        callbacks: sends the requests; by default over the network.
        now: seconds since the epoch, by default those of the clock.
        protocol: see `receiver.registration.probe.probe`.
        progress: called with the number of probes that were answered, and that of all.

    Raises:
        RegistrationError: the service would refuse the credentials, or does not answer. The text
            names the setting that differs.
    """
    items = list(_items(plan))
    alone = [*items[:1], *_next_epoch(items)]
    total, done = len(alone) + len(items[1:]), 0
    client = callbacks or make_callback_client()
    find = partial(find_trouble, secret=secret, callbacks=client, epoch=epoch, protocol=protocol)

    async def probe(trial: tuple[DesiredActionUrl, IvrSummary]) -> None:
        nonlocal done
        item, ivr = trial
        trouble = await find(item, ivr, now=time.time() if now is None else now)
        if trouble is not None:
            raise RegistrationError(_refused(item, trouble))
        done += 1
        progress(done, total)

    for trial in alone:
        await probe(trial)
    await for_each(items[1:], probe, CONCURRENT_PROBES)


async def check_enabling(
    changes: Iterable[Change[Resource]],
    desired: Iterable[DesiredActionUrl],
    secret: Secret,
    epoch: int,
    callbacks: CallbackClient | None = None,
    *,
    protocol: FindProtocol | None = None,
) -> None:
    """Check by one probe that the service accepts the credentials of what is enabled.

    Parameters:
        changes: of `receiver.registration.failover_switch.switch_on`.
        desired: the declared action URLs.
        secret, epoch, callbacks, protocol: as for `check`.

    Raises:
        RegistrationError: the service would refuse the callbacks.
    """
    found = min(_enabled(changes, desired), key=lambda one: one.known, default=None)
    if found is None:
        return
    item, ivr, client, now = found.item, found.ivr, callbacks or make_callback_client(), time.time()
    if found.hidden:
        trouble = await find_trouble(
            item, ivr, secret, client, now=now, epoch=epoch, protocol=protocol
        )
        refused = trouble is None and not found.known
        if trouble is not None and trouble.setting in (SECRET, NUMBER):
            raise RegistrationError(_refused(item, trouble))
    else:
        sent = (await send_probe(item, ivr, secret, client, now=now)).exchanges
        refused = is_refusal(sent) and sent[-1].status in (401, 429)
    if refused:
        raise RegistrationError(_refused(item, _OTHER_CREDENTIALS))


class _Enabled(NamedTuple):
    """An action URL that is enabled.

    Attributes:
        item: with the credentials to probe.
        ivr: its IVR.
        hidden: whether the PBX hides its credentials.
        known: whether the PBX has, or gets, credentials that are declared, of any epoch.
    """

    item: DesiredActionUrl
    ivr: IvrSummary
    hidden: bool
    known: bool


def _enabled(
    changes: Iterable[Change[Resource]], desired: Iterable[DesiredActionUrl]
) -> Iterator[_Enabled]:
    """Yield the declared action URLs that are enabled and have credentials.

    Hidden credentials of another ``RECEIVER_SECRET`` are left out of the change; then the declared
    ones are probed.
    """
    both = (one for item in desired for one in (item, item.was) if one is not None)
    declared = {(one.ivr, key(one.action.url)): one for one in both}
    for change in changes:
        action, before = change.resource, change.before
        if not (isinstance(action, ActionUrl) and isinstance(before, ActionUrl) and action.enabled):
            continue
        want = declared.get((change.ivr.extension_number, key(action.url)))
        if want is None or not (want.action.token or want.action.password):
            continue
        states = (one for one in (want.action, want.coming) if one is not None)
        known = any(carries(action, one) for one in states)
        left_out = bool(hidden_fields(action))
        item = want if left_out else replace(want, action=action)
        yield _Enabled(item, change.ivr, bool(hidden_fields(before)), known and not left_out)


def _items(plan: Plan) -> Iterator[tuple[DesiredActionUrl, IvrSummary]]:
    """Yield what is to be probed, with the credentials that the PBX will have."""
    desired = {(item.ivr, item.action.url): item for item in plan.desired}
    for change in plan.of("create", "update"):
        if _is_probed(change):
            item = desired[change.ivr.extension_number, change.resource.url]
            yield replace(item, action=change.resource), change.ivr
    for event_change in plan.event_urls:
        if plan.desired_event_url is not None and _is_probed(event_change):
            yield as_action_url(plan.desired_event_url, event_change.resource), NO_IVR


def _is_probed(change: Change[ActionUrl] | Change[EventUrl]) -> bool:
    """Return whether the service may refuse callbacks after ``change``."""
    return change.op == "create" or not _PROBED.isdisjoint(d.field for d in change.differences)


def _next_epoch(
    items: Iterable[tuple[DesiredActionUrl, IvrSummary]],
) -> Iterator[tuple[DesiredActionUrl, IvrSummary]]:
    """Yield one of ``items`` with the credentials of the epoch after that of the command."""
    for item, ivr in items:
        if item.coming is not None and not carries(item.action, item.coming):
            yield replace(item, action=item.coming), ivr
            return


def _refused(item: DesiredActionUrl, trouble: Trouble) -> str:
    name = f"{item.ivr}/{line(item.action.name)}" if item.ivr else f"the {EVENT_URL}"
    at = f", at {shown(item.action.url)}" if trouble.setting == URL else ""
    if trouble.answered:
        return (
            f"nothing was changed, because the service would refuse the callbacks of {name}: "
            f"{trouble.text}{at}; {trouble.cure}"
        )
    return (
        f"nothing was changed, because the service did not answer a callback of {name}: "
        f"{trouble.text}{at}; {trouble.cure}. If it is down on purpose, or not reachable from "
        "here, add --unchecked"
    )
