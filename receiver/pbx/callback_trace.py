"""The trace of a call: requests, outcomes and steps as values, and as lines of text.

Rule 1: values are frozen, and their repr shows neither secrets nor DTMF input.
Rule 2: the lines show complete requests and answers, with secrets masked by default.
Rule 3: the lines of a step of a sensitive action show neither DTMF input nor request bodies.
Rule 4: unprintable characters from a server are escaped, so that none moves the cursor.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import Literal

from receiver.calls import Kind, veil
from receiver.replies import outcomes
from receiver.text import counted, line

Headers = tuple[tuple[str, str], ...]

Trigger = Literal["arrival", "press", "silence", "failure", "leaving"]
"""The cause of a step: the call arrived, keys were pressed, none was within the timeout, the step
before failed, or the caller hung up."""

HIDDEN_KEY = "•"
"""The character that replaces a hidden key."""

_SHARED = 3  # consecutive digits from which a number counts as derived from DTMF input
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
    "voicemail": "forwarded to the voicemail of {}",
    "disa": "the caller may dial out (DISA)",
    "left": "the caller has hung up",
    "menu": "the IVR continues with its own rules",
    "failed": "failed: {}",
}
_CAUSES = {
    "arrival": "the call arrives",
    "press": "the caller presses {}",
    "silence": "the caller presses nothing",
    "failure": "that failed",
    "leaving": "the caller hangs up",
}
_QUERY = re.compile(r"\?.*", re.DOTALL)
_USER_INFO = re.compile(r"(?<=://)[^/?#]*@")
_DIGEST_SECRETS = re.compile(r'\b(username|response)="(?:[^"\\]|\\.)*"')


@dataclass(frozen=True, slots=True)
class Exchange:
    """One HTTP request and its answer.

    Attributes:
        method, url, request_headers, request_body: as sent.
        status: of the answer; None without one.
        response_headers, response_body: as received, perhaps incomplete.
        seconds: from the request to the end of the answer, with connecting.
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
    """The result of a step.

    Attributes:
        kind: ``forwarded``, ``voicemail``, ``hung up``, ``disa`` and ``left`` (the caller hung up)
            end the IVR's part of the call. ``repeated`` plays the prompt again. ``menu``: no action
            URL matched, the IVR continues with its own rules. ``failed``: a callback failed; what a
            PBX does then is not documented, see ``Behaviour.after_failure``.
        detail: the number forwarded to, or the reason of a failure; else empty.
    """

    kind: str
    detail: str = ""

    def __repr__(self) -> str:  # the number forwarded to may be DTMF input
        detail = self.detail if self.kind == "failed" else veil(self.detail)
        return f"Outcome({self.kind!r}, {detail})"

    @property
    def ends_call(self) -> bool:
        kind = outcomes().get(self.kind)
        return kind.ends_call if kind else self.kind in ("voicemail", "disa", "left")

    @property
    def text(self) -> str:
        """The outcome as text, such as ``forwarded to 222``."""
        kind = outcomes().get(self.kind)
        return (kind.outcome_text if kind else _ENDINGS[self.kind]).format(self.detail)

    def text_of(self, kind: str) -> str:
        """Return the text for a callback of ``kind``; CALLER callbacks precede the prompt."""
        reply = outcomes().get(self.kind)
        special = reply.caller_text if reply and kind == "CALLER" else ""
        return special.format(self.detail) or self.text


@dataclass(frozen=True, slots=True)
class Step:
    """One decision of a call, with its cause and its result.

    Attributes:
        trigger: see `Trigger`.
        kind: the type of action URL that applies.
        digits: the DTMF input; empty for none.
        action: the name of the action URL; None if no callback was sent.
        exchanges: the requests; two with Digest.
        outcome: the result.
        seconds: the duration.
        deadline: seconds that the PBX waits for the answer, once connected; None without a
            callback.
        rule: the IVR's rule that decided, as text; empty for none.
        sensitive: whether texts hide the DTMF input: the action is sensitive, or no action matched
            on an IVR that has a sensitive one.
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
    sensitive: bool = False

    @property
    def is_unmatched(self) -> bool:
        """Whether the caller pressed keys that match no action URL and no rule of the IVR."""
        return self.trigger == "press" and self.outcome.kind == "menu" and not self.rule

    @property
    def cause(self) -> str:
        """The cause as text."""
        return _CAUSES[self.trigger].format(hidden(self.digits) if self.sensitive else self.digits)

    @property
    def result(self) -> str:
        """The outcome as text."""
        return self.shown_outcome.text_of(self.kind)

    @property
    def shown_outcome(self) -> Outcome:
        """The outcome as it may be shown."""
        return shown_outcome(self.outcome, self.digits if self.sensitive else "")

    @property
    def text(self) -> str:
        """The step as one line of text."""
        if self.action is not None:
            return f'{self.cause}: the PBX asks the {self.kind} action URL "{self.action}"'
        return f"{self.cause}: {self.rule or f'no {self.kind} action URL matches'}"


def render(step: Step, *, secrets: bool = False) -> list[str]:
    """Return ``step`` as lines of text, without line ends.

    Parameters:
        secrets: whether to show credentials and configured headers in clear text.
    """
    lines = [step.text]
    for exchange in step.exchanges:
        lines += _exchange(without_call_data(exchange) if step.sensitive else exchange, secrets)
    lines.append(f"  = {step.result}{_timing(step)}")
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
    """Return ``exchange`` without credentials, configured headers and cookies."""
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


def without_call_data(exchange: Exchange) -> Exchange:
    """Return ``exchange`` of a sensitive action without the fields of the call and the answer."""

    def veiled(name: str, value: str) -> str:  # Digest repeats the URL
        digest = name.lower() == "authorization" and value.lower().startswith("digest ")
        return "Digest ***" if digest else value

    return replace(
        exchange,
        url=_QUERY.sub("?***", exchange.url),
        request_headers=tuple((key, veiled(key, text)) for key, text in exchange.request_headers),
        request_body=b"***" if exchange.request_body else b"",
        response_body=b"***" if exchange.response_body else b"",
    )


def hidden(digits: str) -> str:
    """Return hidden DTMF input as it is shown."""
    return HIDDEN_KEY * len(digits)


def shown_outcome(outcome: Outcome, hidden_digits: str) -> Outcome:
    """Return ``outcome`` without a number that may be derived from hidden DTMF input."""
    if outcome.kind == "failed" or not hidden_digits:
        return outcome
    size = min(len(hidden_digits), _SHARED)
    parts = (hidden_digits[at : at + size] for at in range(len(hidden_digits) - size + 1))
    is_derived = any(part in outcome.detail for part in parts)
    return replace(outcome, detail=hidden(outcome.detail)) if is_derived else outcome


def _masked(name: str, value: str) -> str:
    """Return the ``value`` of the request header ``name`` without secrets."""
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
        text = f"{text[:_LONGEST_BODY]} … ({counted(len(body), 'byte')})"
    return [mark.rstrip(), *(mark + part for part in text.splitlines())] if text else []


def _timing(step: Step) -> str:
    if step.deadline is None:
        return ""
    return f" ({step.seconds * 1000:.0f} ms, the PBX waits {step.deadline * 1000:.0f} ms)"
