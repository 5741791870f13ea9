"""Errors; each says what happened, who can correct it, and what to do next.

::

    ReceiverError
    ├── DeclarationError      the developer's: an Ivr, an action, a mask or a reply is wrong
    │   ├── MaskError         ... a match list that cannot be read
    │   ├── NumberError       ... text that is not one phone number
    │   ├── ReplyError        ... an answer that the PBX could not carry out
    │   └── ConfigurationError    ... a configuration file, all its problems at once
    ├── SettingsError         the operator's: a RECEIVER_* variable is missing or wrong
    ├── LoadError             the operator's: "module:attribute" does not lead to a Receiver
    ├── CallbackError         the sender's: the request is not a callback, the answer not a reply
    ├── Unavailable           the operator's: a store, a CRM or a queue does not work
    │   ├── (sessions) SessionLost    ... what a call remembers
    │   ├── (after) AfterError        ... the queue of durable work
    │   └── UpstreamError     ... a service such as a CRM: no valid answer
    │       ├── UpstreamLate      within the time that the call had
    │       ├── UpstreamRefused   but one with another status than 2xx
    │       └── CircuitOpen       no request was sent, since it failed again and again
    ├── (sessions) SessionError  the developer's: too much in a session, or used after its end
    ├── RegistrationError     the operator's: what is declared does not fit what the PBX has
    ├── (stores) StoreError    the operator's: the shared store is unavailable
    ├── (simulator) ApiError  what the simulated PBX refuses, and LineError, a telephone misused
    └── PbxError              the PBX's
        ├── PbxUnreachable    ... no connection, no answer in time, TLS
        ├── PbxInvalid       ... an answer that is not what its API describes
        └── PbxRefused        ... an answer with an error: status, code and message
            ├── PbxUnauthorized   the token, name or password was not accepted
            ├── PbxForbidden      the account may not do this
            ├── PbxNotFound       there is no such thing
            └── PbxThrottled      too many requests
"""

from __future__ import annotations

from collections.abc import Sequence


class ReceiverError(Exception):
    """The root of all errors raised by this package on purpose.

    The text is made for people: the command line prints it as one line and exits with
    ``exit_code``. It never holds secrets, digits, numbers or names of callers.
    """

    exit_code = 1


class DeclarationError(ReceiverError):
    """The code declares something that the PBX would not accept.

    ``where`` is ``"file:line"`` of the declaration, empty if not known.
    """

    exit_code = 2

    def __init__(self, problem: str, where: str = "") -> None:
        super().__init__(f"{where}: {problem}" if where else problem)
        self.problem = problem
        self.where = where


class NumberError(DeclarationError):
    """Text that is not one phone number; the error never repeats it."""


class MaskError(DeclarationError):
    """A match list that cannot be read; the text names the entry."""


class ReplyError(DeclarationError):
    """A reply that the PBX could not carry out, such as a destination that cannot be dialled."""


class ConfigurationError(DeclarationError):
    """A configuration file is wrong.

    ``problems`` are all of it: pairs of ``"file:line"`` and what is wrong there, by key. The text
    has a line for each.
    """

    def __init__(self, problems: Sequence[tuple[str, str]]) -> None:
        (where, first), *rest = problems
        super().__init__("\n".join((first, *(f"{place}: {text}" for place, text in rest))), where)
        self.problems = tuple(problems)


class SettingsError(ReceiverError):
    """Settings are missing or wrong; the text names the variables.

    ``problems`` are all of them, each a sentence; the text has a line for each.
    """

    exit_code = 2

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LoadError(ReceiverError):
    """``module:attribute`` does not name what the command needs."""

    exit_code = 2


class CallbackError(ReceiverError):
    """A request is not a callback (or, at the simulator, a response not a reply)."""


class Unavailable(ReceiverError):
    """A service that a handler needs is unavailable; if not caught, it means the fallback."""


class RegistrationError(ReceiverError):
    """The declarations cannot be registered on this PBX."""


class UpstreamError(Unavailable):
    """A service that a handler needs gave no valid answer; the text names its host at most."""


class UpstreamLate(UpstreamError):
    """The call's time, or the time set for the service, ended before the answer."""


class UpstreamRefused(UpstreamError):
    """The service answered with another ``status`` than 2xx.

    ``retry_after`` is in seconds, from the header of that name; None if there was no number in it.
    ``body`` is the body of the response; no text repeats it.
    """

    def __init__(
        self, text: str, *, status: int, retry_after: float | None = None, body: bytes = b""
    ) -> None:
        super().__init__(text)
        self.status = status
        self.retry_after = retry_after
        self.body = body


class CircuitOpen(UpstreamError):
    """No request was sent, since the service failed again and again."""


class PbxError(ReceiverError):
    """The PBX's REST API refused a request, or did not answer it."""


class PbxUnreachable(PbxError):
    """No connection to the PBX, or no answer from it in time."""


class PbxInvalid(PbxError):
    """The PBX answered something that its API does not describe."""


class PbxRefused(PbxError):
    """The PBX answered with an error.

    ``status`` is the HTTP status, ``code`` the PBX's own word (``"UNKNOWN"`` if it gave none) and
    ``detail`` its message.
    """

    def __init__(self, text: str, *, status: int, code: str = "UNKNOWN", detail: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.detail = detail


class PbxUnauthorized(PbxRefused):
    """The token, user name or password was not accepted."""


class PbxForbidden(PbxRefused):
    """The account may not do this."""


class PbxNotFound(PbxRefused):
    """There is no such thing on the PBX."""


class PbxThrottled(PbxRefused):
    """The PBX asks for fewer requests. ``retry_after`` is in seconds, None if it did not say."""

    retry_after: float | None = None
