"""Notation of phone numbers: SIP and tel URIs, punctuation, extensions, anonymous callers.

Rule 1: Text that is not exactly one number is refused, never joined: two numbers, a decimal or an
        exponent of a spreadsheet, a date, words.
Rule 2: Invisible characters (direction marks, zero width) and punctuation (dashes of every kind,
        no-break spaces, brackets, dots) are removed. Digits of other scripts count as digits.
Rule 3: A number is the caller's data: no error text contains one.
Rule 4: Texts have at most `MAX_LENGTH` characters, so untrusted text is cheap to parse.

Sources: RFC 3261 (SIP URIs), RFC 3966 (tel URIs), RFC 3323 (``anonymous.invalid``).
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise
from typing import NamedTuple
from urllib.parse import unquote

from receiver.errors import NumberError

MAX_LENGTH = 256
"""Characters; longer text is not a phone number."""

E164_DIGITS = 15
"""Maximum digits of an international number (ITU-T E.164)."""

DASHES = dict.fromkeys(
    map(ord, "‐‑‒–—―−－ー"), "-"
)  # U+2010 to U+2015, U+2212, fullwidth, Japanese
_PLUSES = {ord("＋"): "+", ord("﹢"): "+"}

_PLAIN = re.compile(r"\+?([0-9]{1,20})")
_BRACKETED = re.compile(r"<([^<>]*)>[^<>]*\Z")
_SCHEME = re.compile(r"(sips?|tel|callto):(?://)?", re.IGNORECASE)
_PARAMETER = re.compile(r";([A-Za-z][A-Za-z0-9.-]*)(?:=([^;]*))?")
_OCTET = r"(?:0|[1-9][0-9]?|1[0-9]{2}|2[0-4][0-9]|25[0-5])"
_ADDRESS = re.compile(rf"{_OCTET}(?:\.{_OCTET}){{3}}|\[.*")
_PAIRS = re.compile(r"[0-9]{2}(?:\.[0-9]{2}){3}")  # also a number of Denmark or Norway
_EXTENSION = re.compile(
    r"(?<=[0-9)\] ,;./-])"
    r"(?:extension|extn|ext|x|durchwahl|dw|nebenstelle|poste|anexo|interno|int|доб|\#|,,|[pw](?=[0-9]))"
    r"[ .:=]*([0-9]{1,9})\#?\Z",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[*#]*+[(\[ ]*+\+?[(\[ ]*+[0-9][0-9 ()\[\]./·-]*+[*#]*+")
_DECIMAL = re.compile(
    r"[+-]?(?:[0-9]+[.,](?:[0-9]{1,2}|0+)|[0-9]{7,}[.,][0-9]+"
    r"|[0-9]+(?:[.,][0-9]+)?[eE][+-]?[0-9]+)"
)
_DATE = re.compile(
    r"(?:19|20)[0-9]{2}-(?:0[1-9]|1[0-2])-(?:0[1-9]|[12][0-9]|3[01])"
    r"|(?:0?[1-9]|[12][0-9]|3[01])([./])(?:0?[1-9]|[12][0-9]|3[01])\1(?:19|20)[0-9]{2}"
)
_CLASS = re.compile(r"\[[0-9]-[0-9]\]")  # of a regular expression
_LONG = re.compile(r"[0-9][0-9 ()./-]{4,}[0-9]")
_ACCESS = re.compile(r"00|011|010|810|119")  # prefixes dialled before a country code
_BEFORE_ZERO = re.compile(r"[1-9][0-9]{0,2}[ -]?\(0\)")  # a country code without its +
_ZERO_KEPT = ("39", "378")  # countries whose numbers keep the 0 after the country code

_ANONYMOUS = re.compile(
    r"(?:(?:callerid|caller|number|id|no)?"
    r"(?:anonymous|anonymus|restricted|unavailable|unknown|private|withheld|blocked|hidden)"
    r"(?:callerid|caller|number|user|name|id)?)?"
    r"|nonumber|nocallerid|notavailable|outofarea|null|none|undefined|anonym|anonyme|unbekannt"
)
_ANONYMOUS_HOST = "anonymous.invalid"
_KEYPAD = ("266696687", "86282452253")  # "anonymous" and "unavailable" on a keypad

_SEVERAL = "it contains more than one number: write each in a separate row or entry"
_SPREADSHEET = (
    "it is a decimal or an exponent, as a spreadsheet or a REAL column writes numbers, which loses "
    "digits: store phone numbers as text"
)
_NONE = "it is not a phone number: write its digits, with + before the country code"


class NumberText(NamedTuple):
    """A phone number without punctuation.

    Attributes:
        digits: without a ``+``.
        plus: whether the digits begin with a country code.
        extension: dialled after the number (``ext. 12``); may be empty.
    """

    digits: str
    plus: bool = False
    extension: str = ""


def read_number(text: str) -> NumberText:
    """Parse the text of one number.

    Raises:
        NumberError: the text is not a number, or more than one; the error says which.
    """
    if len(text) > MAX_LENGTH:
        raise NumberError(_NONE)
    if _PLAIN.fullmatch(text):
        return _checked(text.lstrip("+"), text[0] == "+", "")
    user, parameters = _user(text)
    user = _visible(user)
    address = _ADDRESS.fullmatch(user) and not _PAIRS.fullmatch(_visible(text))
    if address or _DATE.fullmatch(user) or _CLASS.search(user):
        raise NumberError(_NONE)
    if _DECIMAL.fullmatch(user):
        raise NumberError(_SPREADSHEET)
    extension = parameters.get("ext", "")
    if (found := _EXTENSION.search(user)) and user[0] not in "*#":  # as keypad codes begin
        user, extension = user[: found.start()].rstrip(" ,;./-"), found[1]
    context = parameters.get("phone-context", "")
    if context.startswith("+") and not user.startswith("+"):  # RFC 3966, section 5.1.5
        user = context + user
    if not _NUMBER.fullmatch(user) or ".." in user:
        raise NumberError(_SEVERAL if len(_LONG.findall(user)) > 1 else _NONE)
    return _checked(user, "+" in user, extension if extension.isdecimal() else "")


def is_anonymous(text: str) -> bool:
    """Return whether a caller's number is withheld, in any common spelling.

    Empty; ``anonymous``, ``restricted``, ``unavailable``, ``unknown`` or ``private``, also in a SIP
    URI or with a display name; the same words as keypad digits (``+266696687``,
    ``86282452253``); or zeros only.
    """
    if plain := _PLAIN.fullmatch(text):
        return plain[1] in _KEYPAD or not plain[1].strip("0")
    if len(text) > MAX_LENGTH:
        return False
    if _ANONYMOUS_HOST in text.lower():
        return True
    user = _visible(_user(text)[0])
    digits = digits_of(user)
    if digits:
        bare = digits in _KEYPAD or not digits.strip("0")
        return bare and _NUMBER.fullmatch(user) is not None
    return _ANONYMOUS.fullmatch("".join(filter(str.isalpha, user.lower()))) is not None


def digits_of(text: str) -> str:
    """Return the ASCII digits of ``text``."""
    return "".join(c for c in text if "0" <= c <= "9")


def plain_text(text: str) -> str:
    """Return ``text`` in ASCII dashes, digits, spaces and pluses, without invisible characters."""
    if text.isascii():
        return text.strip()
    return "".join(map(_plain_character, text.translate(DASHES | _PLUSES))).strip()


def _plain_character(character: str) -> str:
    if character.isascii():
        return character
    kind = unicodedata.category(character)
    if kind == "Nd":
        return str(unicodedata.decimal(character))
    return " " if kind == "Zs" else "" if kind == "Cf" else character


def _visible(text: str) -> str:
    """Return `plain_text` without the quotes that mark text in a spreadsheet."""
    text = plain_text(text)
    if text.startswith('="') and text.endswith('"'):
        text = text[2:-1]
    return text.strip("\"' ")


def _user(text: str) -> tuple[str, dict[str, str]]:
    """Return the user part of a URI, or the whole text, and its parameters by lower-case name."""
    text = text.strip()
    if bracketed := _BRACKETED.search(text):  # a display name may contain anything
        text = bracketed[1]
    scheme = _SCHEME.match(text)
    if scheme:
        text = text[scheme.end() :]
        if text[:1] == " " and text[1:2].isdecimal():  # a + decoded as a space
            text = "+" + text[1:]
    if "@" in text or (scheme and scheme[1].lower().startswith("sip")):
        text = text.partition("@")[0] if "@" in text else _host(text)
    if "%" in text:
        text = unquote(text)
    found = dict[str, str]()
    head, mark, tail = text.partition(";")
    if mark and _parameters(mark + tail, found):
        text = head
    return (text.partition(":")[0] if scheme else text), found


def _host(text: str) -> str:
    """Return the host of a URI without a user part, without the port; it may be a number."""
    return text if text.startswith("[") else text.partition(":")[0]


def _parameters(text: str, found: dict[str, str]) -> bool:
    """Return whether ``text`` consists of parameters, and add them to ``found``."""
    position = 0
    while position < len(text):
        if (one := _PARAMETER.match(text, position)) is None:
            return False
        found[one[1].lower()] = one[2] or ""
        position = one.end()
    return True


def _checked(text: str, plus: bool, extension: str) -> NumberText:
    """Return the digits of ``text``, which is punctuated like a number."""
    if _is_several(text, plus):
        raise NumberError(_SEVERAL)
    digits = digits_of(text)
    abroad = digits.removeprefix("00")  # also after a +, as people write it
    known = plus or abroad != digits or _BEFORE_ZERO.match(text) is not None
    if "(0)" in text and known and not abroad.startswith(_ZERO_KEPT):
        abroad = digits_of(text.replace("(0)", "", 1)).removeprefix("00")
        plus = True
    if plus and not abroad.startswith("0"):  # no country code begins with 0
        return NumberText(abroad, True, extension)
    return NumberText(digits, False, extension)


def _is_several(text: str, plus: bool) -> bool:
    """Return whether a text that is punctuated like a number contains two numbers."""
    if text.isdecimal():
        return False
    digits = digits_of(text)
    if len(_ACCESS.sub("", digits, count=1) if _ACCESS.match(digits) else digits) > E164_DIGITS:
        return True
    groups = [digits_of(group) for group in text.split()]
    if any(min(len(one), len(other)) > 6 for one, other in pairwise(groups)):
        return True
    first, *rest = (digits_of(part) for part in text.split("/"))
    national = not plus and not digits.startswith("0")
    pairs = len(rest) > 1 and len(rest[0]) < 4 and all(len(part) == 2 for part in rest[1:])
    if pairs and len(first) < 6 < len(digits):
        return False  # 06/12/34/56/78, as in France, or 02/123/45/67, as in Belgium
    if national and rest and all(len(part) == len(first) for part in rest):
        return True  # extensions
    for right in rest:
        if _is_new_number(first, right, plus=plus):
            return True
        first += right
    return False


def _is_new_number(left: str, right: str, *, plus: bool) -> bool:
    """Return whether ``right``, after a slash, begins another number than ``left``."""
    if right.startswith("00") and len(right) > 2:
        return True
    if len(left) < 6 or right == "0":  # an area code; the 0 of a switchboard
        return False
    long = len(left) > 6 or not left.startswith("0")
    if len(left) > 6 and (right.startswith("0") or len(right) < 3):
        return True
    return long and len(right) > 5 and not plus and not left.startswith("00")
