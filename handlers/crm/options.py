"""What the options of a connector may be: credentials, URLs, names of fields, forms of a number.

Rule 1: no text of an error holds the value of an option, for it may be a credential.
Rule 2: neither credentials nor callers' data are sent in the clear to another machine.
Rule 3: what becomes part of a query is a name, and cannot be more.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Collection, Iterable
from urllib.parse import urlsplit

from handlers.crm.asking import secret_of
from handlers.crm.contacts import Number
from receiver import DeclarationError, Secret

_FORMS = frozenset({"typed", "e164", "national", "significant", "digits"})


def forms_of(forms: Collection[str], name: str) -> tuple[str, ...]:
    """``forms`` as an option of a connector."""
    if isinstance(forms, str) or not forms or not set(forms) <= _FORMS:
        known = ", ".join(sorted(_FORMS))
        raise DeclarationError(f"{name}: forms= is a list of some of {known}")
    return tuple(forms)


def revealed(value: str | Secret, option: str) -> str:
    """A credential that goes into a header, or ``"$NAME"``: see `handlers.crm.asking.secret_of`.

    Raises:
        DeclarationError: it is not given, or more than visible ASCII.
    """
    plain = secret_of(value, option)
    if not re.fullmatch(r"[\x21-\x7e]+", plain):
        raise DeclarationError(f"{option} is no text of visible ASCII characters")
    return plain


def identifier(value: str, name: str) -> str:
    """A name of the CRM's own that becomes part of a query, such as that of a field."""
    if not isinstance(value, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9_.]*", value):
        raise DeclarationError(f"{name} is no name of a field or module: letters, digits, _ and .")
    return value


def identifiers(values: Iterable[str], name: str) -> list[str]:
    """Several of them; ``name`` is that of one."""
    return [identifier(value, name) for value in values]


def safe(url: str, name: str) -> str:
    """``url``, if what is sent there cannot be read on the way.

    Raises:
        DeclarationError: it is neither https nor on this machine.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except (ValueError, TypeError, AttributeError):
        raise DeclarationError(f"{name}: url= cannot be read as a URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_here(host)):
        raise DeclarationError(f"{name}: url= is the https URL of your CRM")
    return url


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def written(number: Number, forms: Iterable[str]) -> tuple[str, ...]:
    """The number in these of its forms; as digits if it has none of them, ``()`` if it has none."""
    if not number.digits:
        return ()
    all_forms = dict.fromkeys(getattr(number, form) for form in forms)
    return tuple(form for form in all_forms if form) or (number.digits,)
