"""portsip-receiver: put your own Python code on a phone call.

A PortSIP PBX asks this service, in mid-call, what to do: declare which key presses or callers a
function is for, and return where the call shall go.
"""

from receiver.actions import Action, Handler, is_sensitive
from receiver.app import Receiver
from receiver.calls import Call
from receiver.errors import (
    DeclarationError,
    LoadError,
    MaskError,
    PbxError,
    ReceiverError,
    RegistrationError,
    ReplyError,
    SettingsError,
    Unavailable,
)
from receiver.ivrs import Ivr
from receiver.masks import Mask
from receiver.numbering import Numbering
from receiver.onward import Then, handler_of
from receiver.replies import Forward, Hangup, Repeat, Reply
from receiver.secrets import Secret
from receiver.settings import Settings

__all__ = [
    "Action",
    "Call",
    "DeclarationError",
    "Forward",
    "Handler",
    "Hangup",
    "Ivr",
    "LoadError",
    "Mask",
    "MaskError",
    "Numbering",
    "PbxError",
    "Receiver",
    "ReceiverError",
    "RegistrationError",
    "Repeat",
    "Reply",
    "ReplyError",
    "Secret",
    "Settings",
    "SettingsError",
    "Then",
    "Unavailable",
    "handler_of",
    "is_sensitive",
]
