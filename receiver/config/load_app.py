"""Load the Receiver of ``module:attribute`` or a file, and find the IVR of ``north/8000``."""

from __future__ import annotations

from receiver.app import Receiver
from receiver.config.loader import load
from receiver.errors import LoadError

SUFFIX = ".toml"
"""The suffix of configuration files."""


def load_app(target: str) -> Receiver:
    """Return the Receiver that ``target`` names: ``module:attribute``, or a configuration file.

    Raises:
        LoadError: it does not name one.
        DeclarationError: a declaration in the code or the file is wrong.
    """
    if target.endswith(SUFFIX):
        from receiver.config import build  # noqa: PLC0415 - slow to import

        return build.load_file(target)
    app = load(target)
    if not isinstance(app, Receiver):
        raise LoadError(
            f"{target} is of type {type(app).__name__}, not a Receiver: name the Receiver "
            "itself, also if another app mounts it"
        )
    return app


def find_ivr(app: Receiver, ivr: str) -> tuple[str, str]:
    """Return the label of the PBX and the extension number that ``ivr`` names.

    Parameters:
        app: the declarations.
        ivr: as in ``8000``, or with several PBXs ``north/8000``.

    Raises:
        LoadError: the app has no IVR on that PBX.
    """
    if not isinstance(ivr, str):
        raise LoadError(f'an IVR is named by a string, as in "8000", not {type(ivr).__name__}')
    label, _, number = ivr.rpartition("/")
    if label in app.pbxs:
        return label, number
    if not label and len(app.pbxs) == 1:
        return app.pbxs[0], number
    known = ", ".join(dict.fromkeys(f"{one.pbx}/{one.number}".lstrip("/") for one in app.ivrs))
    raise LoadError(f"this app has no IVR {ivr}: choose one of {known}")
