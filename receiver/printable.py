"""What somebody else wrote, as a log or a terminal may show it.

Rule 1: it stays on its line: ends of lines and paragraphs, controls, marks that turn text around
        and lone surrogates are escaped as in Python. Letters of any script stay.
Rule 2: where it is not ours to say how long it is, it is cut.
"""

from __future__ import annotations


def line(text: str) -> str:
    """``text`` on one line that no terminal acts on."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def short(text: str, most: int = 100) -> str:
    """The same in at most ``most`` characters."""
    shown = line(text[:most])
    return shown if len(text) <= most >= len(shown) else shown[: most - 1] + "…"


def quoted(text: str, most: int = 200) -> str:
    """The first ``most`` characters of ``text`` in quotes, which it cannot end itself."""
    return repr(text[:most]) + ("…" if len(text) > most else "")
