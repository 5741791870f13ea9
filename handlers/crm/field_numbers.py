"""The phone numbers in a text field of a CRM, as people write them.

Rule 1: A field may contain several numbers, extensions and words (``030 23125000-12 (office)``).
Rule 2: A number ends where a group of digits ends; ``030 231250001`` does not contain
        ``030 23125000``.
Rule 3: A number begins where its digits begin, so that ``+43 30 23125000`` does not contain
        ``30 23125000``. Only in more digits than a number has (E.164: 15) may another one begin,
        with its area code.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import accumulate

MIN_DIGITS = 6
"""Digits of the shortest number that is compared by its last digits only."""

_MAX_FIELD = 200  # characters of a field that are compared
_MAX_DIGITS = 15  # of one number: ITU-T E.164
_MAX_WRITTEN = 20  # digits of one number with prefixes such as 00 and (0)

_SEPARATOR = re.compile(r":::|[;,|@\n]| / ")  # between several numbers in one field
_RUN = re.compile(r"\+?\d(?:[^\w+]*\d)*")  # digits without a letter between them
_PUNCTUATION = re.compile(r"[^\d+()-]+")  # what is parsed as a space


def numbers_in(text: str, number: str) -> Iterator[str]:
    """Yield the parts of ``text`` that end like ``number`` and may be equal to it.

    Parameters:
        number: its digits, without country code and trunk prefix if it has them.
    """
    text = re.sub(r"\d", lambda digit: str(int(digit[0])), text[:_MAX_FIELD])
    for part in _SEPARATOR.split(text):
        for run in _RUN.findall(part):
            yield from _numbers_in_run(run, number)


def _numbers_in_run(run: str, number: str) -> Iterator[str]:
    groups = list(re.finditer(r"\d+", run))
    digits = "".join(group[0] for group in groups)
    ends = list(accumulate(len(group[0]) for group in groups))
    for first, start in enumerate([0, *ends[:-1]]):
        if start and (len(digits) <= _MAX_DIGITS or start < MIN_DIGITS):
            continue
        begin = groups[first].start() if start else 0
        tail = number if start else number[-MIN_DIGITS:]
        for group, end in zip(groups[first:], ends[first:], strict=True):
            size = end - start
            long = MIN_DIGITS <= size <= _MAX_WRITTEN
            if (long or size == len(digits)) and digits[start:end].endswith(tail):
                yield _PUNCTUATION.sub(" ", run[begin : group.end()])
