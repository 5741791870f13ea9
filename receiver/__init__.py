"""portsip-receiver: put your own Python code on a phone call.

A PortSIP PBX asks this service, in mid-call, what to do: declare which key presses or callers a
function is for, and return where the call shall go.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
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

_HOMES = {
    "actions": ("Action", "Handler", "is_sensitive"),
    "app": ("Receiver",),
    "calls": ("Call",),
    "ivrs": ("Ivr",),
    "masks": ("Mask",),
    "numbering": ("Numbering",),
    "onward": ("Then", "handler_of"),
    "replies": ("Forward", "Hangup", "Repeat", "Reply"),
    "secrets": ("Secret",),
    "settings": ("Settings",),
}
_MODULES = {name: module for module, names in _HOMES.items() for name in names}


def __getattr__(name: str) -> Any:
    """The public names, each imported when it is first asked for.

    So this package costs nothing where only its pytest plugin is looked at, as in every pytest of
    an environment in which it is installed.
    """
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'errors')}"), name)
