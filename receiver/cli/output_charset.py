"""Print any character on a terminal of any code page.

Rule: a character that the terminal's encoding lacks is replaced, never an error: punctuation and
      lines by their ASCII look-alikes, anything else by an escape that JSON and Python read back.
"""

from __future__ import annotations

import codecs
import io
import sys

_ERRORS = "receiver.output_charset"
_LOOK_ALIKES = {
    **dict.fromkeys("‐‑‒–—―−─━", "-"),
    **dict.fromkeys("│┃", "|"),
    **dict.fromkeys("┌┐└┘├┤┬┴┼╭╮╰╯", "+"),
    **dict.fromkeys("•●▪", "*"),
    **dict.fromkeys("“”„", '"'),
    **dict.fromkeys("‘’‚", "'"),
    "…": "...",
    "→": "->",
    "≤": "<=",
    "█": "#",
    "←": "<-",
    "✓": "ok",
    "µ": "u",
}


def accept_any_character() -> None:
    """Let standard output and standard error replace characters that they cannot encode."""
    codecs.register_error(_ERRORS, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    text = error.object[error.start : error.end]
    return "".join(
        _LOOK_ALIKES.get(character) or _escape(character) for character in text
    ), error.end


def _escape(character: str) -> str:
    octets = character.encode("utf-16-be", "surrogatepass")
    return "".join(f"\\u{octets[i : i + 2].hex()}" for i in range(0, len(octets), 2))
