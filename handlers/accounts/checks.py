"""Check keyed input against a table, a function, a check digit, or a PIN.

Rule 1: tables are stored as keyed hashes, and PINs are compared in constant time.
Rule 2: an error names the entry of a table by its position, never its content.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal

from receiver import Call, DeclarationError, Reply, Secret, Then, handler_of

Kind = Literal["account", "card", "pin"]
Check = Callable[[Call], Awaitable[bool | Then | None]]
"""Async function of the call: whether its digits are right, or the reply or handler for them."""

Handler = Callable[[Call], Awaitable[Reply]]
Checked = Callable[[Call], Awaitable[Handler | None]]
"""Async function of the call: the handler for right digits, None for wrong ones."""

_DIGITS = frozenset("0123456789")


def luhn(digits: str) -> bool:
    """Return whether the last digit is the right check digit (ISO/IEC 7812-1, annex B)."""
    if not digits or not set(digits) <= _DIGITS:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def checker(
    check: object, right: Handler | None, kind: Kind, number: Callable[..., str]
) -> Checked:
    """Return an async function that returns the handler for right digits, None for wrong ones."""
    if callable(check):
        return (
            _card(_from_function(check, right)) if kind == "card" else _from_function(check, right)
        )
    if right is None and (kind == "pin" or not isinstance(check, Mapping)):
        raise DeclarationError(
            "Account: then= is missing: the reply or handler for the right digits"
        )
    if kind == "pin":
        return _pins(check, right, number)
    if kind == "card":
        return _card(_any(right) if check is None else _accounts(check, right))
    return _accounts(check, right)


def _from_function(check: Check, right: Handler | None) -> Checked:
    async def run(call: Call) -> Handler | None:
        found = await check(call)
        if found is True and right is None:
            raise DeclarationError("Account: check= returned True, and there is no then=")
        if isinstance(found, bool) or found is None:
            return right if found else None
        return handler_of(found, "Account: the result of check=")

    return run


def _any(right: Handler | None) -> Checked:
    async def accept(_: Call) -> Handler | None:
        return right

    return accept


def _card(check: Checked) -> Checked:
    async def after_luhn(call: Call) -> Handler | None:
        card = 12 <= len(call.digits) <= 19 and luhn(call.digits)
        return await check(call) if card else None

    return after_luhn


def _accounts(check: object, right: Handler | None) -> Checked:
    if not isinstance(check, Mapping | Sequence) or isinstance(check, str) or not check:
        raise DeclarationError("Account: check= is a list or a table of numbers, or a function")
    hidden = _Hidden()
    targets: dict[bytes, Handler | None] = {}
    pairs = check.items() if isinstance(check, Mapping) else [(number, None) for number in check]
    for position, (digits, then) in enumerate(pairs, 1):
        entry = f"Account: entry {position} of check="
        target = right if then is None else handler_of(then, entry)
        targets[hidden(_digits(digits, entry))] = target

    async def look_up(call: Call) -> Handler | None:
        return targets.get(hidden(call.digits))

    return look_up


def _pins(check: object, right: Handler | None, number: Callable[..., str]) -> Checked:
    hidden = _Hidden()
    unknown = hidden(secrets.token_hex())  # compared for callers without a PIN
    if isinstance(check, str | Secret):
        default, pins = hidden(_digits(check, "Account: the PIN")), {}
    elif isinstance(check, Mapping) and check:
        default, pins = unknown, dict[str, bytes]()
        for position, (caller, pin) in enumerate(check.items(), 1):
            entry = f"Account: entry {position} of check="
            if not number(str(caller)):
                raise DeclarationError(f"{entry} has no caller's number")
            pins[number(str(caller))] = hidden(_digits(pin, entry))
    else:
        raise DeclarationError("Account: check= is a PIN, a table of callers' PINs, or a function")

    async def compare(call: Call) -> Handler | None:
        pin = pins.get(number(call.caller, call.number_format), default)
        return right if hmac.compare_digest(pin, hidden(call.digits)) else None

    return compare


class _Hidden:
    """Keyed hash with a random key of this object."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")


def _digits(value: object, entry: str) -> str:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not text or not set(text) <= _DIGITS:
        raise DeclarationError(f'{entry} is no text of digits, such as "4711"')
    return text
