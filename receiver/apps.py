"""From ``module:attribute`` to the Receiver that it names, and from ``north/8000`` to its IVR."""

from __future__ import annotations

from receiver.app import Receiver
from receiver.configuration import building
from receiver.errors import LoadError
from receiver.loader import load


def load_app(target: str) -> Receiver:
    """The Receiver that ``target`` names: ``module:attribute``, or a configuration file.

    Raises:
        LoadError: it does not lead to one.
        DeclarationError: the code, or the file, declares something wrong.
    """
    if target.endswith(building.SUFFIX):
        return building.load_file(target)
    found = load(target)
    if not isinstance(found, Receiver):
        raise LoadError(
            f"{target} is no Receiver but of type {type(found).__name__}: name the Receiver "
            "itself, also where it is mounted in another app"
        )
    return found


def place(app: Receiver, ivr: str) -> tuple[str, str]:
    """The label of the PBX and the extension number on it that ``ivr`` names.

    Parameters:
        app: the declarations.
        ivr: as in ``8000``, or with several PBXs ``north/8000``.

    Raises:
        LoadError: the app is for no such PBX.
    """
    label, _, number = ivr.rpartition("/")
    if label in app.pbxs:
        return label, number
    if not label and len(app.pbxs) == 1:
        return app.pbxs[0], number
    there = ", ".join(dict.fromkeys(f"{one.pbx}/{one.number}".lstrip("/") for one in app.ivrs))
    raise LoadError(f"there is no IVR {ivr} on the PBXs of this app: choose one of {there}")
