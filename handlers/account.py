"""Handler that checks keyed input: an account number, a card, or a PIN, with limited attempts.

::

    Account({"4711": "201", "4712": "202"})                    # a destination for each
    Account(in_the_crm, then=Forward("222"), kind="card")      # an async function of the call
    Account({"+4930123456": "2580"}, then=vault, kind="pin")   # the PIN of each caller

Rule 1: An attempt is counted before the check and given back unless the digits are wrong, so
        concurrent attempts cannot exceed the limit. If the check fails, the attempt does not count
        and the caller gets the fallback.
Rule 2: ``attempts`` are counted in the session of one call. ``per_caller`` wrong attempts of a
        number, over all its calls, lock it out until ``lock`` seconds after the last one; a right
        attempt does not reset them. Anonymous callers count as one. Each process counts separately.
Rule 3: An action of this handler may repeat the prompt ``attempts - 1`` times in a row
        (``repeats``), so that the last attempt leads to ``locked``.
Rule 4: No log, error or session contains keyed input: the handler is ``sensitive``, and so is its
        action. Tables are stored as keyed hashes; PINs are compared in constant time.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from typing import get_args

from handlers.accounts.checks import Check, Kind, checker
from receiver import (
    Call,
    DeclarationError,
    FinishKey,
    Forward,
    Hangup,
    PhoneNumbers,
    Reply,
    Secret,
    Then,
    handler_of,
    repeats_of,
)

_MOST_ATTEMPTS = 100  # an action may repeat the prompt 99 times


class Account:
    """A handler that passes callers with the right digits to ``then``.

    ::

        ivr.add("DTMF", "****", Account({"4711": "201", "4712": "202"}), name="account")

    Parameters:
        check: an async function of the call; or a table. For accounts and cards a list of them, or
            a table of replies and handlers by number; for PINs one for all callers, or a table of
            PINs by callers' numbers. Without it, a card only needs a valid check digit.
        then: reply or handler for the right digits; not needed if the table contains them.
        kind: ``"account"``, ``"card"`` (12 to 19 digits with a Luhn check digit), or ``"pin"``.
        wrong: reply or handler for wrong digits; the default repeats the prompt.
        locked: reply or handler after the last attempt and during a lock-out; the default hangs up.
        attempts: wrong attempts in one call, including the last one.
        per_caller: wrong attempts of one caller's number.
        lock: seconds of a lock-out.
        name: distinguishes the attempts of two such handlers in one call.
        region: region of callers' numbers, see `receiver.PhoneNumbers`.
        remember: maximum number of callers whose attempts are counted.
        finish_key: ``"#"`` (the default) or ``"*"`` at the end of the digits is removed; ``""`` for
            none.
        clock: seconds, monotonic.

    In a file::

        handler = "account"
        kind = "pin"
        check = "$STAFF_PIN"
        then = "300"

    Raises:
        DeclarationError: an option is wrong; the text contains no value of a table.
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
        finish_key: FinishKey = "#",
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        if kind not in get_args(Kind):
            raise DeclarationError(f"Account: kind={kind!r} is none of {', '.join(get_args(Kind))}")
        _check_limits(attempts, per_caller=per_caller, lock=lock, remember=remember)
        if finish_key not in get_args(FinishKey):
            raise DeclarationError(f'Account: finish_key={finish_key!r} is not "#", "*" or ""')
        self._finish_key = finish_key
        self._key = PhoneNumbers(region).key
        right = None if then is None else handler_of(then, "Account: then")
        self._check = checker(check, right, kind, self._key)
        self._wrong = handler_of(wrong, "Account: wrong")
        self._locked = handler_of(locked, "Account: locked")
        self._attempts = attempts
        tables = check.values() if isinstance(check, Mapping) else ()
        self.repeats = max(
            0 if _ends_call(wrong) else attempts - 1,
            repeats_of(right, self._wrong, self._locked, *tables),
        )
        self._entry = f"{name}.attempts"
        self._by_caller = Attempts(int(per_caller), lock, remember)
        self._clock = clock

    async def __call__(self, call: Call) -> Reply:
        call = call.without_finish_key(self._finish_key)
        caller = self._key(call.caller, call.number_format)
        if self._by_caller.locked(caller, self._clock()) or not (
            attempt := await self._begin(call)
        ):
            return await self._locked(call)
        self._by_caller.begin(caller, self._clock())
        try:
            then = await self._check(call)
        except BaseException as error:
            self._by_caller.give_back(caller)
            if isinstance(error, Exception):
                await self._give_back(call)
            raise
        if then is None:
            over = attempt >= self._attempts or self._by_caller.locked(caller, self._clock())
            return await (self._locked if over else self._wrong)(call)
        self._by_caller.give_back(caller)
        await self._give_back(call)
        return await then(call)

    async def _begin(self, call: Call) -> int:
        """Return the number of the attempt in this call, from 1; 0 if none is left."""
        async with call.session() as session:
            attempt = int(session.get(self._entry, 0)) + 1
            if attempt > self._attempts:
                return 0
            session[self._entry] = attempt
            return attempt

    async def _give_back(self, call: Call) -> None:
        async with call.session() as session:
            session[self._entry] = max(int(session.get(self._entry, 0)) - 1, 0)


def _check_limits(attempts: int, **others: float) -> None:
    if type(attempts) is not int or not 1 <= attempts <= _MOST_ATTEMPTS:
        raise DeclarationError(
            f"Account: attempts={attempts!r} is no whole number from 1 to {_MOST_ATTEMPTS}"
        )
    for option, value in others.items():
        # NaN is not above 0 either; with remember=0 no caller would be locked out.
        if isinstance(value, bool) or not isinstance(value, int | float) or not value > 0:
            raise DeclarationError(f"Account: {option}={value!r} is no number above 0")


def _ends_call(then: Then) -> bool:
    """Return whether ``then`` is a reply after which the caller cannot try again."""
    if isinstance(then, str):
        return then.strip().lower() != "repeat"
    return isinstance(then, Forward | Hangup)


class Attempts:
    """Counts wrong and pending attempts by caller."""

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
