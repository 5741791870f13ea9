"""Estimate how hard a secret is to guess, in bits, and refuse one that a program could find.

Rule 1: generated secrets are accepted: 16 random bytes or more as hexadecimal, base64 or a UUID
        (as URL-safe base64 or base32, one in 100 fails by chance). What people invent fails: words,
        sequences, walks over the keyboard, repetitions, and all of these in hexadecimal or base64.
Rule 2: an estimate is low rather than high, and only measures the text: 32 characters copied from a
        web page may look random and be known.
Rule 3: no text of this module contains any part of the secret.

The bound depends on the stretching in `receiver.credentials`: at some 30 guesses a second on a
core, 64 bits take ten million years on a thousand cores.
"""

from __future__ import annotations

import base64
import binascii
import math
import re
from collections import Counter
from collections.abc import Iterator

MIN_BITS = 64
"""Bits that a secret needs."""

_LETTER = 1.5  # bits of a letter in a word: between those of English in a word and in a text
_SEPARATOR = 1.0  # bits of a separator between words
_GUESSED = 4.0  # bits of something that a guessing program tries early
_STEP = 0.5  # bits of a character that continues a sequence
_REPEATED = 4  # fewest characters of a repetition
_LETTERS = re.compile(r"[A-Z]?[a-z]{2,}|[A-Z]{3,}")
# More than half of the letter pairs in English or German are among these, of random ones a tenth.
_PAIRS = (
    "th_he_in_er_an_re_nd_on_en_at_ou_ed_ha_to_or_it_is_hi_es_ng_st_te_ar_al_ve_nt_ti_se_le_me_of_"
    "ea_ne_de_ll_ro_as_et_ch_ei_ie_ge_be_un_ic_om_co_ma_io_ur_ra_ri_si_li_ce_el_us_ss_ee_sh_ho_ec_"
    "la_ta_we_di_so_ut_no_rd_ow_ly_ay_ad_ac_ap_ca_ke_ry_ct_pe_po_pr_ai_em"
)
_COMMON = re.compile(
    "change.?(?:me|it|this)|pass.?(?:word|phrase|wort)?|secret|geheim|default|example|sample|test"
    "|demo|admin|root|user|login|welcome|letmein|qwert[yz](?:uiop)?|asdf(?:ghjkl)?|receiver|portsip"
    "|token|key|foo|bar|baz|dummy|insecure|development|production|please|hello|callback|service"
    "|your|goes|here|this|must|with|replace|random|string|openssl|output|generated?|value|insert|enter|quick|brown"
    "|jumps|lorem|ipsum|https?://|www|\\.(?:com|org|net|de)|gmbh|inc",
    re.IGNORECASE,
)
_LEET = str.maketrans("013457$@", "oieastsa")
_ENCODED = re.compile(r"[A-Za-z0-9+/_-]{8,}={0,2}")
_ROWS = ("1234567890-=", "qwertyuiop[]", "asdfghjkl;'", "zxcvbnm,./")
_SHIFTED = str.maketrans('!@#$%^&*()_+{}:"<>?', "1234567890-=[];',./")
_KEYS = {key: (row, place) for row, keys in enumerate(_ROWS) for place, key in enumerate(keys)}
_ORDER = {c: (0, at) for at, c in enumerate("0123456789abcdefghijklmnopqrstuvwxyz")}
_INTERLEAVED = 4  # sequences that may alternate, as four do in 1qaz2wsx3edc


def estimate(text: str) -> float:
    """Return an estimate of the bits that a guessing program needs for ``text``."""
    return min([_estimate(text), *map(_estimate, _decoded(text))])


def _decoded(text: str) -> Iterator[str]:
    """Return ``text`` decoded from hexadecimal or base64, if that is less random than bytes."""
    if not _ENCODED.fullmatch(text):
        return
    padded = text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4)
    for decode in (bytes.fromhex, base64.b64decode):
        try:
            plain = decode(padded if decode is base64.b64decode else text).decode("latin-1")
        except (binascii.Error, ValueError):
            continue
        if (plain.isascii() and plain.isprintable()) or _estimate(plain) < MIN_BITS / 2:
            yield plain


def _estimate(text: str) -> float:
    if not text:
        return 0.0
    count = Counter(text)
    # The entropy of the frequencies of its characters.
    costs = [math.log2(len(text) / count[c]) for c in text]
    for at in _steps(text):
        costs[at] = min(costs[at], _STEP)
    for letters in filter(_is_word, _LETTERS.finditer(text)):
        for at in range(*letters.span()):
            costs[at] = min(costs[at], _LETTER)
    for at, character in enumerate(text):
        if character in " -_.,:":
            costs[at] = min(costs[at], _SEPARATOR)
    for found in _COMMON.finditer(text.translate(_LEET)):
        _cap(costs, *found.span(), _GUESSED)
    for start, end in _repetitions(text):
        _cap(costs, start, end, _GUESSED)
    return sum(costs)


def is_guessable(text: str) -> bool:
    """Return whether a secret has less than `MIN_BITS` bits."""
    return estimate(text) < MIN_BITS


def _is_word(letters: re.Match[str]) -> bool:
    """Whether a third or more of its pairs of letters are common, and two if it is not apart."""
    text, start, end = letters[0].lower(), *letters.span()
    pairs = [text[at : at + 2] for at in range(len(text) - 1)]
    around = letters.string[max(start - 1, 0) : start] + letters.string[end : end + 1]
    least = 2 if any(map(str.isalnum, around)) else 1
    return sum(pair in _PAIRS for pair in pairs) >= max(least, len(pairs) / 3)


def _cap(costs: list[float], start: int, end: int, most: float) -> None:
    """Limit the estimate of a part to ``most`` bits."""
    total = sum(costs[start:end])
    if total > most:
        costs[start:end] = [cost * most / total for cost in costs[start:end]]


def _steps(text: str) -> Iterator[int]:
    """Return the places of characters that continue a sequence, by one step up or down, or none.

    Its steps are those of code points, of digits before letters, or of keys on a keyboard; up to
    `_INTERLEAVED` sequences may alternate.
    """
    lower = text.lower()
    codes = [(0, ord(c)) for c in text]
    order = [_ORDER.get(c) for c in lower]
    keys = [_KEYS.get(c) for c in lower.translate(_SHIFTED)]
    for places in (codes, order, keys):
        for apart in range(1, _INTERLEAVED + 1):
            for at in range(2 * apart, len(places)):
                first, second, third = (places[at - n * apart] for n in (2, 1, 0))
                if first and second and third:
                    steps = [
                        (b[0] - a[0], b[1] - a[1]) for a, b in ((first, second), (second, third))
                    ]
                    if steps[0] == steps[1] and max(map(abs, steps[0])) <= 1:
                        yield at


def _repetitions(text: str) -> Iterator[tuple[int, int]]:
    """Return where four or more characters repeat earlier ones, the longest first found."""
    lower, at = text.lower(), _REPEATED
    while at < len(lower):
        length = 0
        while at + length < len(lower) and lower[at : at + length + 1] in lower[: at + length]:
            length += 1
        if length >= _REPEATED:
            yield at, at + length
        at += max(length, 1) if length >= _REPEATED else 1
