"""What happened on a simulated call, as values, and as lines of text for people.

Rule 1: values are frozen, and their repr shows neither secrets nor what a caller keyed in.
Rule 2: the lines show all of what went over the wire, but no secret unless they are asked to.
Rule 3: what a server sent cannot move the cursor: whatever does not print is escaped.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from receiver.actions import Kind
from receiver.calls import veil
from receiver.printable import line

Headers = tuple[tuple[str, str], ...]

Trigger = Literal["arrival", "press", "silence", "failure", "leaving"]
"""What made a step: the call arrived, keys were pressed, none was, something could not be done, or
the caller hung up."""

Ending = Literal["forwarded", "voicemail", "hung up", "disa", "left", "repeated", "failed", "menu"]

_LONGEST_BODY = 2000  # characters shown of a body
_PLAIN = {
    "host",
    "user-agent",
    "accept",
    "accept-encoding",
    "connection",
    "content-type",
    "content-length",
}
_ENDINGS = {
    "forwarded": "forwarded to {}",
    "voicemail": "forwarded to the voicemail of {}",
    "hung up": "hung up",
    "disa": "the caller may dial out (DISA)",
    "left": "the caller has hung up",
    "repeated": "the prompt is repeated",
    "menu": "the IVR goes on by its own rules",
    "failed": "failed: {}",
}
_CAUSES = {
    "arrival": "the call arrives",
    "press": "the caller presses {}",
    "silence": "the caller presses nothing",
    "failure": "that failed",
    "leaving": "the caller hangs up",
}
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
_DIGEST_SECRETS = re.compile(r'\b(username|response)="(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its answer.

    Attributes:
        method, url, request_headers, request_body: as they were sent.
        status: of the answer; None if none came.
        response_headers, response_body: as far as they came.
        seconds: from the request to the end of the answer, connecting included.
    """

    method: str
    url: str = field(repr=False)
    request_headers: Headers = field(repr=False)
    request_body: bytes = field(repr=False)
    status: int | None
    response_headers: Headers = field(repr=False)
    response_body: bytes = field(repr=False)
    seconds: float


@dataclass(frozen=True, slots=True, repr=False)
class Outcome:
    """What became of the call.

    Attributes:
        kind: ``forwarded``, ``voicemail``, ``hung up``, ``disa`` and ``left`` (the caller hung up)
            end the IVR's part of the call. ``repeated`` plays the prompt again. ``menu``: no action
            URL was asked, the IVR goes on by its own rules. ``failed``: an action URL was asked in
            vain; what a PBX does then is not documented, see ``Behaviour.after_failure``.
        detail: the number forwarded to, or why it failed; else empty.
    """

    kind: Ending
    detail: str = ""

    def __repr__(self) -> str:  # the number forwarded to may be what the caller keyed in
        detail = self.detail if self.kind == "failed" else veil(self.detail)
        return f"Outcome({self.kind!r}, {detail})"

    @property
    def ends_call(self) -> bool:
        return self.kind in ("forwarded", "voicemail", "hung up", "disa", "left")

    @property
    def text(self) -> str:
        """For people, such as ``forwarded to 222``."""
        return _ENDINGS[self.kind].format(self.detail)


@dataclass(frozen=True, slots=True)
class Step:
    """One thing that happened on a call, and all that followed from it.

    Attributes:
        trigger: see `Trigger`.
        kind: the kind of action URL that was looked for, or would have been.
        digits: what was pressed; empty if nothing was.
        action: the name of the action URL that was asked; None if none was.
        exchanges: the requests in their order; two with Digest.
        outcome: what became of the call.
        seconds: how long it all took.
        deadline: seconds that the PBX waits for the answer, once it is connected; None if no
            action URL was asked.
        rule: which of the IVR's own rules decided, in words; empty if none did.
    """

    trigger: Trigger
    kind: Kind
    digits: str = field(repr=False)
    action: str | None
    exchanges: tuple[Exchange, ...]
    outcome: Outcome
    seconds: float
    deadline: float | None
    rule: str = field(default="", repr=False)

    @property
    def cause(self) -> str:
        """What made the step, for people."""
        return _CAUSES[self.trigger].format(self.digits)

    @property
    def text(self) -> str:
        """What happened, in one line for people."""
        if self.action is not None:
            return f'{self.cause}: the PBX asks the {self.kind} action URL "{self.action}"'
        return f"{self.cause}: {self.rule or f'no {self.kind} action URL matches'}"


def render(step: Step, *, secrets: bool = False) -> list[str]:
    """``step`` as lines of text, without line ends.

    Parameters:
        secrets: show credentials and the headers configured on the action URL as they are.
    """
    lines = [step.text]
    for exchange in step.exchanges:
        lines += _exchange(exchange, secrets)
    lines.append(f"  = {step.outcome.text}{_timing(step)}")
    return [line(text) for text in lines]


def _exchange(exchange: Exchange, secrets: bool) -> list[str]:
    if not secrets:
        exchange = masked(exchange)
    lines = [f"  > {exchange.method} {exchange.url}"]
    lines += [f"  > {name}: {value}" for name, value in exchange.request_headers]
    lines += _body("  > ", exchange.request_body)
    if exchange.status is None:
        return [*lines, "  < (no answer)"]
    lines.append(f"  < {exchange.status}")
    lines += [f"  < {name}: {value}" for name, value in exchange.response_headers]
    return lines + _body("  < ", exchange.response_body)


def masked(exchange: Exchange) -> Exchange:
    """``exchange`` without credentials, configured headers and cookies, as `render` shows it."""
    return replace(
        exchange,
        url=_USER_INFO.sub("***@", exchange.url),
        request_headers=tuple(
            (name, _masked(name.lower(), value)) for name, value in exchange.request_headers
        ),
        response_headers=tuple(
            (name, "***" if name.lower() == "set-cookie" else value)
            for name, value in exchange.response_headers
        ),
    )


def _masked(name: str, value: str) -> str:
    """``value`` of the request header ``name`` without what must not be shown."""
    if name in _PLAIN:
        return value
    scheme, _, rest = value.partition(" ")
    if name != "authorization" or not rest:
        return "***"
    if scheme.lower() == "digest":
        return f"{scheme} " + _DIGEST_SECRETS.sub(r'\1="***"', rest)
    return f"{scheme} ***"


def _body(mark: str, body: bytes) -> list[str]:
    text = body.decode("utf-8", "replace")
    if len(text) > _LONGEST_BODY:
        text = f"{text[:_LONGEST_BODY]} … ({len(body)} bytes)"
    return [mark.rstrip(), *(mark + part for part in text.splitlines())] if text else []


def _timing(step: Step) -> str:
    if step.deadline is None:
        return ""
    return f" ({step.seconds * 1000:.0f} ms, the PBX waits {step.deadline * 1000:.0f} ms)"
