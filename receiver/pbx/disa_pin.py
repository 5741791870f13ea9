"""The rules of the DISA PIN of an IVR, by the release of the PBX.

With it a caller dials out through the PBX, where the menu leads to DISA.
"""

from __future__ import annotations

from receiver.pbx.fields import Tenant, older
from receiver.text import counted


def pin_problem(pin: str) -> str:
    """Return why every PBX refuses a DISA PIN, or ``""``.

    Source: a caller enters it by DTMF. Since 22.3 the tenant's password policy has further rules.
    """
    digits = pin.isascii() and pin.isdigit()
    return "" if digits else "(the DISA PIN) must be made of digits only"


def pin_problem_until_22_2(pin: str) -> str:
    """Return why a PBX up to 22.2 refuses a DISA PIN, or ``""``.

    Source: ``pin`` of ``/ivrs`` in the vendor's OpenAPI file for 22.2.
    """
    if not 6 <= len(pin) <= 10:
        return f"(the DISA PIN) has {counted(len(pin), 'digit')}, a PBX up to 22.2 accepts 6 to 10"
    for a, b, c in zip(map(int, pin), map(int, pin[1:]), map(int, pin[2:]), strict=False):
        if a == b == c or (b == a + 1 and c == b + 1):
            return (
                "(the DISA PIN) has a digit three times in a row (111) or a run (012), which a "
                "PBX up to 22.2 refuses"
            )
    return ""


def pin_problem_in(pin: str, version: str) -> str:
    """Return why a PBX of this release refuses a DISA PIN, or ``""``.

    Only rules that differ between releases; blank, masked or invalid PINs are ignored.

    Parameters:
        version: such as ``"22.2"``; empty for an unknown one, which is treated as the newest.
    """
    if pin_problem(pin) or not older(version, "22.3"):
        return ""
    return pin_problem_until_22_2(pin)


def pin_policy(pin: str, tenant: Tenant) -> str:
    """Return why the PBX of ``tenant`` refuses a DISA PIN, or ``""``."""
    if older(tenant.version, "22.3"):
        return pin_problem_until_22_2(pin)
    low, high = tenant.pin_length
    return "" if low <= len(pin) <= high else f"does not have {low} to {high} digits"
