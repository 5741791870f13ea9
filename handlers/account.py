"""Checks what a caller keyed in: an account number, a card, or a PIN; and no number is guessed.

::

    Account({"4711": "201", "4712": "202"})                    # where each leads
    Account(in_the_crm, then=Forward("222"), kind="card")      # an async function of the call
    Account({"+4930123456": "2580"}, then=vault, kind="pin")   # the PIN of each caller

Rule 1: an attempt is counted before it is checked, and given back unless it was wrong: many at once
        are not more. When the check itself fails, that is nobody's attempt, and the fallback.
Rule 2: ``attempts`` are those of one call, in its session. ``per_caller`` wrong ones of a number,
        over all its calls, lock it out until ``lock`` seconds have passed since the last; a right
        one does not wipe them out. Callers without a number count as one. Each process counts
        callers for itself.
Rule 3: a number is never in a log, an error or a session: the handler is ``sensitive``, which the
        declaration takes over. Tables are kept as keyed hashes; PINs compare in constant time.
"""

from __future__ import annotations

import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Literal, get_args

from receiver import Call, DeclarationError, Numbering, Reply, Secret, Then, handler_of

Kind = Literal["account", "card", "pin"]
Check = Callable[[Call], Awaitable[bool | Then | None]]
"""Whether ``call.digits`` are right, or where right ones lead."""

_Handler = Callable[[Call], Awaitable[Reply]]
_Checked = Callable[[Call], Awaitable[_Handler | None]]
_DIGITS = frozenset("0123456789")


class Account:
    """A handler that lets callers with the right digits through to ``then``.

    Parameters:
        check: an async function of the call; or a table. Of accounts and cards: a list of them, or
            a table of where each leads. Of PINs: one for everybody, or a table of callers' numbers
            and their PINs. Without one, a card only has to be no mistyped one.
        then: where the right digits lead; not needed for a table that says so.
        kind: ``"account"``, ``"card"`` (12 to 19 digits, the last one after Luhn), or ``"pin"``.
        wrong: where wrong ones lead; by default the prompt is played again.
        locked: where the last wrong ones lead, and all while locked out; by default the call ends.
        attempts: wrong ones that a call may have, the last included.
        per_caller: the same for a caller's number.
        lock: seconds.
        name: tells apart the attempts of two such handlers in one call.
        region: for callers' numbers, see `receiver.Numbering`.
        remember: numbers of callers whose attempts are counted.
        clock: in seconds, for tests.

    In a file::

        handler = "account"
        kind = "pin"
        check = "$STAFF_PIN"
        then = "300"

    Raises:
        DeclarationError: an option is wrong; what stands in a table is not repeated.
    """

    sensitive = True

    def __init__(
        self,
        check: Check | Mapping[str, Then | Secret] | Sequence[str | Secret] | Secret | None = None,
        then: Then | None = None,
        *,
        kind: Kind = "account",
        wrong: Then = "repeat",
        locked: Then = "hangup",
        attempts: int = 3,
        per_caller: int = 10,
        lock: float = 900.0,
        name: str = "account",
        region: str = "",
        remember: int = 10_000,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if kind not in get_args(Kind):
            raise DeclarationError(f"Account: kind={kind!r} is none of {', '.join(get_args(Kind))}")
        for option, value in (
            ("attempts", attempts),
            ("per_caller", per_caller),
            ("lock", lock),
            ("remember", remember),  # with none remembered, none would be locked out
        ):
            # NaN is not above 0 either, and nothing is ever more than that.
            if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
                raise DeclarationError(f"Account: {option}={value!r} is no number above 0")
        self._key = Numbering(region).key
        right = None if then is None else handler_of(then, "Account: then")
        self._check = _checker(check, right, kind, self._key)
        self._wrong = handler_of(wrong, "Account: wrong")
        self._locked = handler_of(locked, "Account: locked")
        self._attempts = attempts
        self._entry = f"{name}.attempts"
        self._tries = Tries(int(per_caller), lock, remember)
        self._clock = clock

    async def __call__(self, call: Call) -> Reply:
        caller = self._key(call.caller)
        if self._tries.locked(caller, self._clock()) or not (attempt := await self._begin(call)):
            return await self._locked(call)
        self._tries.begin(caller, self._clock())
        try:
            then = await self._check(call)
        except BaseException as error:
            self._tries.give_back(caller)
            if isinstance(error, Exception):
                await self._give_back(call)
            raise
        if then is None:
            over = attempt >= self._attempts or self._tries.locked(caller, self._clock())
            return await (self._locked if over else self._wrong)(call)
        self._tries.give_back(caller)
        await self._give_back(call)
        return await then(call)

    async def _begin(self, call: Call) -> int:
        """Which attempt of the call this is, from 1; 0 if it has none left."""
        async with call.session() as session:
            attempt = int(session.get(self._entry, 0)) + 1
            if attempt > self._attempts:
                return 0
            session[self._entry] = attempt
            return attempt

    async def _give_back(self, call: Call) -> None:
        async with call.session() as session:
            session[self._entry] = max(int(session.get(self._entry, 0)) - 1, 0)


class Tries:
    """Wrong attempts by caller, and those being checked."""

    def __init__(self, most: int, lock: float, remember: int) -> None:
        self._most = most
        self._lock = lock
        self._remember = remember
        self._counts: OrderedDict[str, tuple[int, float]] = OrderedDict()

    def locked(self, caller: str, now: float) -> bool:
        count, last = self._counts.get(caller, (0, now))
        if now - last >= self._lock:
            self._counts.pop(caller, None)
            return False
        return count >= self._most

    def begin(self, caller: str, now: float) -> None:
        self._counts[caller] = self._counts.get(caller, (0, now))[0] + 1, now
        self._counts.move_to_end(caller)
        if len(self._counts) > self._remember:
            self._counts.popitem(last=False)

    def give_back(self, caller: str) -> None:
        count, last = self._counts.pop(caller, (0, 0.0))
        if count > 1:
            self._counts[caller] = count - 1, last


def luhn(digits: str) -> bool:
    """Whether the last digit is the one that the others ask for (ISO/IEC 7812-1, annex B)."""
    if not digits or not set(digits) <= _DIGITS:
        return False
    doubled = (sum(divmod(2 * int(digit), 10)) for digit in digits[-2::-2])
    return (sum(map(int, digits[-1::-2])) + sum(doubled)) % 10 == 0


def _checker(
    check: object, right: _Handler | None, kind: Kind, number: Callable[[str], str]
) -> _Checked:
    """``check`` as an async function that gives where right digits lead, None for wrong ones."""
    if callable(check):
        return _card(_asked(check, right)) if kind == "card" else _asked(check, right)
    if right is None and (kind == "pin" or not isinstance(check, Mapping)):
        raise DeclarationError("Account: then= says where the right digits lead")
    if kind == "pin":
        return _pins(check, right, number)
    if kind == "card":
        return _card(_any(right) if check is None else _accounts(check, right))
    return _accounts(check, right)


def _asked(check: Check, right: _Handler | None) -> _Checked:
    async def ask(call: Call) -> _Handler | None:
        found = await check(call)
        if found is True and right is None:
            raise DeclarationError("Account: check= said True, and there is no then=")
        if isinstance(found, bool) or found is None:
            return right if found else None
        return handler_of(found, "Account: what check= gave")

    return ask


def _any(right: _Handler | None) -> _Checked:
    async def pass_on(_: Call) -> _Handler | None:
        return right

    return pass_on


def _card(check: _Checked) -> _Checked:
    async def after_luhn(call: Call) -> _Handler | None:
        card = 12 <= len(call.digits) <= 19 and luhn(call.digits)
        return await check(call) if card else None

    return after_luhn


def _accounts(check: object, right: _Handler | None) -> _Checked:
    if not isinstance(check, Mapping | Sequence) or isinstance(check, str) or not check:
        raise DeclarationError("Account: check= is a list or a table of numbers, or a function")
    hidden = _Hidden()
    leads: dict[bytes, _Handler | None] = {}
    pairs = check.items() if isinstance(check, Mapping) else [(number, None) for number in check]
    for position, (digits, then) in enumerate(pairs, 1):
        entry = f"Account: entry {position} of check="
        goal = right if then is None else handler_of(then, entry)
        leads[hidden(_digits(digits, entry))] = goal

    async def look_up(call: Call) -> _Handler | None:
        return leads.get(hidden(call.digits))

    return look_up


def _pins(check: object, right: _Handler | None, number: Callable[[str], str]) -> _Checked:
    hidden = _Hidden()
    nobody = hidden(secrets.token_hex())  # who has no PIN is compared as well
    if isinstance(check, str | Secret):
        everybody, pins = hidden(_digits(check, "Account: the PIN")), {}
    elif isinstance(check, Mapping) and check:
        everybody, pins = nobody, dict[str, bytes]()
        for position, (caller, pin) in enumerate(check.items(), 1):
            entry = f"Account: entry {position} of check="
            if not number(str(caller)):
                raise DeclarationError(f"{entry} has no caller's number")
            pins[number(str(caller))] = hidden(_digits(pin, entry))
    else:
        raise DeclarationError("Account: check= is a PIN, a table of callers' PINs, or a function")

    async def compare(call: Call) -> _Handler | None:
        pin = pins.get(number(call.caller), everybody)
        return right if hmac.compare_digest(pin, hidden(call.digits)) else None

    return compare


class _Hidden:
    """Text as a hash that only this object can make."""

    def __init__(self) -> None:
        self._key = secrets.token_bytes(32)

    def __call__(self, text: str) -> bytes:
        return hmac.digest(self._key, text.encode("utf-8", "surrogatepass"), "sha256")


def _digits(value: object, entry: str) -> str:
    text = value.reveal() if isinstance(value, Secret) else value
    if not isinstance(text, str) or not text or not set(text) <= _DIGITS:
        raise DeclarationError(f'{entry} is no text of digits, such as "4711"')
    return text
