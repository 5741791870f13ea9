"""portsip-receiver: put your own Python code on a phone call.

A PortSIP PBX sends callbacks to this service in mid-call: declare which key presses or callers a
function handles, and return where the call goes.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from receiver.app import Receiver
    from receiver.auth.client_address import HostName
    from receiver.background.job_states import job_state
    from receiver.call_context import Acceptance, After, Context, SessionContext
    from receiver.calls import Call, FinishKey
    from receiver.credentials import Secret
    from receiver.declarations.action_options import ActionOptions
    from receiver.declarations.actions import Action, Handler, is_sensitive, repeats_of
    from receiver.declarations.announcement import Announcement
    from receiver.declarations.call_events import CallEvent, CallTarget, Direction, PastCallback
    from receiver.declarations.desired_ivr import IvrOptions
    from receiver.declarations.destinations import Then, handler_of
    from receiver.declarations.event_actions import EventAction, EventEndpoint, Events
    from receiver.declarations.ivr import Ivr
    from receiver.declarations.ivr_menu import Disa, MenuEntry, Voicemail
    from receiver.declarations.number_list import NumberList
    from receiver.declarations.office_hours import Holiday, OfficeHours
    from receiver.declarations.speech import Speech
    from receiver.errors import (
        DeclarationError,
        LoadError,
        MaskError,
        NumberError,
        PbxError,
        ReceiverError,
        RegistrationError,
        ReplyError,
        SettingsError,
        Unavailable,
    )
    from receiver.masks import Mask
    from receiver.pbx.models_shared import OutboundCallerId
    from receiver.phone_numbers.numbers import NumberFormat, PhoneNumber, PhoneNumbers
    from receiver.replies import Destination, Forward, Hangup, Repeat, Reply
    from receiver.settings import Settings
    from receiver.storage.job_queue import JobState

__all__ = [
    "Acceptance",
    "Action",
    "ActionOptions",
    "After",
    "Announcement",
    "Call",
    "CallEvent",
    "CallTarget",
    "Context",
    "DeclarationError",
    "Destination",
    "Direction",
    "Disa",
    "EventAction",
    "EventEndpoint",
    "Events",
    "FinishKey",
    "Forward",
    "Handler",
    "Hangup",
    "Holiday",
    "HostName",
    "Ivr",
    "IvrOptions",
    "JobState",
    "LoadError",
    "Mask",
    "MaskError",
    "MenuEntry",
    "NumberError",
    "NumberFormat",
    "NumberList",
    "OfficeHours",
    "OutboundCallerId",
    "PastCallback",
    "PbxError",
    "PhoneNumber",
    "PhoneNumbers",
    "Receiver",
    "ReceiverError",
    "RegistrationError",
    "Repeat",
    "Reply",
    "ReplyError",
    "Secret",
    "SessionContext",
    "Settings",
    "SettingsError",
    "Speech",
    "Then",
    "Unavailable",
    "Voicemail",
    "handler_of",
    "is_sensitive",
    "job_state",
    "repeats_of",
]

_HOMES = {
    "app": ("Receiver",),
    "auth.client_address": ("HostName",),
    "background.job_states": ("job_state",),
    "call_context": ("Acceptance", "After", "Context", "SessionContext"),
    "declarations.call_events": ("CallEvent", "CallTarget", "Direction", "PastCallback"),
    "calls": ("Call", "FinishKey"),
    "credentials": ("Secret",),
    "declarations.actions": ("Action", "Handler", "is_sensitive", "repeats_of"),
    "declarations.destinations": ("Then", "handler_of"),
    "declarations.announcement": ("Announcement",),
    "declarations.desired_ivr": ("IvrOptions",),
    "declarations.action_options": ("ActionOptions",),
    "declarations.event_actions": ("EventAction", "EventEndpoint", "Events"),
    "declarations.ivr": ("Ivr",),
    "declarations.ivr_menu": ("Disa", "MenuEntry", "Voicemail"),
    "declarations.number_list": ("NumberList",),
    "declarations.speech": ("Speech",),
    "masks": ("Mask",),
    "declarations.office_hours": ("Holiday", "OfficeHours"),
    "pbx.models_shared": ("OutboundCallerId",),
    "phone_numbers.numbers": ("NumberFormat", "PhoneNumber", "PhoneNumbers"),
    "replies": ("Destination", "Forward", "Hangup", "Repeat", "Reply"),
    "settings": ("Settings",),
    "storage.job_queue": ("JobState",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """Import a public name on its first use.

    pytest loads this package's plugin in every run of an environment in which it is installed;
    without lazy imports each of those runs would be slower.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
