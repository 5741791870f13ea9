"""Make untrusted text safe for logs and terminals.

Rule 1: the result is one line: ends of lines and paragraphs, control characters, bidirectional
        marks and lone surrogates are escaped as in Python. Letters of any script stay.
Rule 2: text of unknown length is truncated.
"""

from __future__ import annotations


def line(text: str) -> str:
    """Return ``text`` on one line, without characters that a terminal interprets."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(text: str, most: int = 100) -> str:
    """Return `line` of ``text`` in at most ``most`` characters."""
    shown = line(text[:most])
    return shown if len(text) <= most >= len(shown) else shown[: most - 1] + "…"


def counted(count: int, noun: str, plural: str = "") -> str:
    """Return ``count`` with its noun, as in ``1 IVR`` and ``2 IVRs``; ``plural`` is irregular."""
    return f"{count} {noun if count == 1 else plural or f'{noun}s'}"


def quoted(text: str, most: int = 200) -> str:
    """Return the first ``most`` characters of ``text`` in quotes, escaped."""
    return repr(text[:most]) + ("…" if len(text) > most else "")
