"""Read text files in the encodings of office programs.

Rule 1: A byte order mark (BOM) gives the encoding; without one it is UTF-16 if every other octet is
        zero, UTF-8 if valid, and else cp1252, which Excel and Notepad write in western Europe and
        America.
Rule 2: An error names the line and the cure, never the content.
"""

from __future__ import annotations

import codecs
from pathlib import Path

from receiver import DeclarationError

_BOMS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins like that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_WORKBOOKS = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")  # .xlsx and .ods, .xls


def read_text(path: Path, encoding: str = "", cure: str = "") -> str:
    """Return the text of a file, without a BOM.

    Parameters:
        encoding: as Python names it; empty to find it.
        cure: what an error advises before saving the file as UTF-8.

    Raises:
        DeclarationError: it cannot be read, or is no text in its encoding.
    """
    try:
        octets = path.read_bytes()
    except OSError as error:
        raise DeclarationError(f"{path}: {error.strerror}") from None
    if octets.startswith(_WORKBOOKS):
        raise DeclarationError(
            f'{path} is a workbook of a spreadsheet, not text: save it as "CSV UTF-8"'
        )
    encodings = (encoding,) if encoding else _encodings(octets)
    at = 0
    for name in encodings:
        try:
            return octets.decode(name).removeprefix("\ufeff")
        except UnicodeError as error:
            at = getattr(error, "start", 0)
    line = octets[:at].count(b"\n") + 1
    raise DeclarationError(
        f"this is no text in {' or '.join(encodings)}: {cure}save the file as UTF-8",
        f"{path}:{line}",
    )


def _encodings(octets: bytes) -> tuple[str, ...]:
    """Return the encodings that the octets may have, the most probable first."""
    for bom, name in _BOMS:
        if octets.startswith(bom):
            return (name,)
    start = octets[:1000]
    if len(start) > 1 and start.count(0) * 3 > len(start):
        return ("utf-16-be",) if start[::2].count(0) > start[1::2].count(0) else ("utf-16-le",)
    return "utf-8", "cp1252"
