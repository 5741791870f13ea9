"""Handler that distributes calls over several: round robin, random, or the same for each caller.

::

    Balance({"8001": 2, "8002": 1})                        # two calls, then one
    Balance([(old_menu, 95), (new_menu, 5)], by="caller")  # a canary: a twentieth of the callers

Rule 1: ``turns`` is smooth weighted round robin, as in nginx: of every six calls with the weights
        3, 2, 1 each place gets its share, interleaved. Each process counts separately.
Rule 2: ``caller`` is rendezvous hashing: without memory, a caller gets the same place in all
        processes and after a restart. After a change of weights callers move only to places with
        more weight or away from those with less. Places are identified by position.
Rule 3: ``chance`` draws for each callback.
"""

from __future__ import annotations

import math
import random
from bisect import bisect
from collections.abc import Callable, Mapping, Sequence
from hashlib import sha256
from itertools import accumulate
from typing import Literal, get_args

from receiver import (
    Call,
    DeclarationError,
    PhoneNumbers,
    Reply,
    Then,
    handler_of,
    is_sensitive,
    repeats_of,
)

_numbers = PhoneNumbers()

By = Literal["turns", "chance", "caller"]


class Balance:
    """A handler that chooses one of several.

    ::

        ivr.add("DTMF", "1", Balance({"8001": 3, "8002": 1}), name="balance")

    Parameters:
        to: replies or handlers with weights: a table, or a list of pairs; or a list with equal
            weights. Percentages are weights with the sum 100. A weight of 0 gets no calls.
        by: ``"turns"``, ``"chance"``, or ``"caller"``; anonymous callers are distinguished by call.
        name: makes two canaries choose different callers.
        draw: returns a random number from 0 to below 1.

    In a file::

        handler = "balance"
        to = {8001 = 2, 8002 = 1}

    Raises:
        DeclarationError: ``to`` is empty, a weight is invalid, or all weights are 0.
    """

    def __init__(
        self,
        to: Mapping[str, float] | Sequence[Then | tuple[Then, float]],
        *,
        by: By = "turns",
        name: str = "",
        draw: Callable[[], float] = random.random,
    ) -> None:
        if by not in get_args(By):
            raise DeclarationError(f"Balance: by={by!r} is none of {', '.join(get_args(By))}")
        pairs = _pairs(to)
        self._places = [
            handler_of(then, f"Balance: place {number}")
            for number, (then, _) in enumerate(pairs, 1)
        ]
        self._weights = [_weight(weight, number) for number, (_, weight) in enumerate(pairs, 1)]
        if not 0 < sum(self._weights) < math.inf:
            raise DeclarationError("Balance: at least one place must weigh more than 0")
        self._choose = {"turns": self._next, "chance": self._drawn, "caller": self._of}[by]
        self._credits = [0.0] * len(pairs)
        self._name = name
        self._draw = draw
        self.sensitive = is_sensitive(*self._places)
        self.repeats = repeats_of(*self._places)

    async def __call__(self, call: Call) -> Reply:
        return await self._places[self._choose(call)](call)

    def _next(self, _: Call) -> int:
        """Add each weight to its credit; choose the highest and subtract the sum of all weights."""
        for place, weight in enumerate(self._weights):
            self._credits[place] += weight
        chosen = max(range(len(self._credits)), key=self._credits.__getitem__)
        self._credits[chosen] -= sum(self._weights)
        return chosen

    def _drawn(self, _: Call) -> int:
        places = [place for place, weight in enumerate(self._weights) if weight]
        ends = list(accumulate(self._weights[place] for place in places))
        return places[bisect(ends, self._draw() * ends[-1], hi=len(ends) - 1)]

    def _of(self, call: Call) -> int:
        """Choose the place with the highest weighted hash of place and caller."""
        key = _numbers.key(call.caller, call.number_format)
        # Anonymous callers are distinguished by session; before PBX 22.3 it is missing.
        identity = key or (call.session_id if call.anonymous else "") or call.caller
        if not identity:
            return self._drawn(call)
        scores = [
            _score(f"{self._name}\0{place}\0{identity}", weight)
            for place, weight in enumerate(self._weights)
        ]
        return max(range(len(scores)), key=scores.__getitem__)


def _score(text: str, weight: float) -> float:
    if not weight:
        return -math.inf
    drawn = int.from_bytes(sha256(text.encode("utf-8", "replace")).digest()[:8])
    return math.log((drawn + 0.5) / 2**64) / weight


def _pairs(to: object) -> list[tuple[Then, object]]:
    if isinstance(to, Mapping):
        return list(to.items())
    if not isinstance(to, Sequence) or isinstance(to, str) or not to:
        raise DeclarationError('Balance: to= is a table such as {"8001": 2, "8002": 1}, or a list')
    return [tuple(it) if isinstance(it, tuple | list) and len(it) == 2 else (it, 1) for it in to]


def _weight(weight: object, number: int) -> float:
    if (
        isinstance(weight, bool)
        or not isinstance(weight, int | float)
        or not 0 <= weight < math.inf
    ):
        raise DeclarationError(f"Balance: the weight of place {number} is {weight!r}, no number")
    return weight
