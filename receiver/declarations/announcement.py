"""An announcement: a text or a recording that a caller hears on the way to somewhere else.

The answer to a callback can forward, hang up or repeat; it cannot play anything. So an announcement
is a separate IVR: its prompt is the text, it repeats nothing, and its rule for callers who press no
key leads on.

Rule 1: an announcement is declared: passed to `receiver.Receiver`, as an IVR is. A handler that
        forwards to one that is not is an error when the app is loaded, as far as its code names it.
Rule 2: it has no actions and no menu, and so nothing can lead anywhere but on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from inspect import unwrap
from pathlib import Path
from types import FunctionType
from typing import Any, NoReturn

from receiver.credentials import Secret
from receiver.declarations import ivr
from receiver.declarations.actions import Action
from receiver.declarations.desired_ivr import IvrOptions
from receiver.declarations.source_location import place_of_call
from receiver.declarations.speech import Speech
from receiver.errors import DeclarationError, ReplyError
from receiver.replies import Reply, is_reply, read_word


class Announcement(ivr.Ivr):
    """A prompt that callers hear before the call continues at ``then``.

    ::

        late = Announcement("8801", Speech("We are closed now."), then="222")

        @sales.dtmf("1")
        async def pick(call: Call) -> Reply:
            return Forward(late)

        app = Receiver(sales, late)

    ``receiver apply`` creates the IVR 8801. A caller who keys in an extension meanwhile is
    connected to it, as in any IVR.

    Parameters:
        number: the extension number of the IVR that plays it, 3 to 64 digits.
        prompt: `Speech`, or the path of a recording, as for an `Ivr`.
        then: where the call continues: ``"222"``, ``"hangup"``, or `Forward` or `Hangup`.
        name: of the IVR, 1 to 64 characters; by default with the number.
        language: such as ``"en-US"``.
        timeout: seconds between the prompt and ``then``, from 1. Whether the PBX counts from the
            end of the prompt is not documented: if a caller hears its beginning only, set it to the
            length of the recording.
        failure_reply: for a caller who cannot be connected to ``then``.
        pin: the DISA PIN, which a PBX up to 22.2 needs to create an IVR.
        pbx: as for an `Ivr`.

    Raises:
        DeclarationError: the PBX would not take it, or ``then`` leads nowhere.

    Attributes:
        then: where the call continues, as a reply.
        desired: the declared fields of the IVR.
    """

    def __init__(
        self,
        number: str,
        prompt: str | Path | Speech,
        *,
        then: str | Reply,
        name: str = "",
        language: str = "",
        timeout: int = 1,
        failure_reply: Reply | None = None,
        pin: str | Secret = "",
        pbx: str = "",
    ) -> None:
        self.then = _reply(then)
        options: IvrOptions = {
            "name": name or f"Announcement {number}",
            "prompt": prompt,
            "timeout": timeout,
            "timeout_reply": self.then,
            "repeat_times": 0,
        }
        if language:
            options["language"] = language
        if failure_reply is not None:
            options["failure_reply"] = failure_reply
        if pin:
            options["pin"] = pin
        super().__init__(number, pbx=pbx, **options)

    def __repr__(self) -> str:
        return super().__repr__().replace("Ivr", "Announcement", 1)

    def add(self, *_: Any, **__: Any) -> NoReturn:
        """Raise DeclarationError: an announcement has no actions."""
        raise DeclarationError(
            f'an Announcement has no actions: declare them on an Ivr("{self.number}", …)',
            place_of_call(),
        )

    @property
    def words(self) -> str:
        """The text, or the name of the recording."""
        prompt = self.desired.prompts.get("prompt") if self.desired else None
        return prompt.words if isinstance(prompt, Speech) else prompt.name if prompt else ""


def check_declared(actions: Iterable[Action], ivrs: Iterable[ivr.Ivr]) -> None:
    """Check that each announcement that the code of a handler names is among ``ivrs``.

    Raises:
        DeclarationError: one is not, so ``receiver apply`` would not create it.
    """
    declared = {(one.pbx, one.number) for one in ivrs}
    for action in actions:
        for one in _named(action.handler):
            if (one.pbx, one.number) not in declared:
                raise DeclarationError(
                    f"the handler of {action.identity} names the announcement {one.number}, which "
                    "is not declared: pass it to Receiver(…), too",
                    action.where,
                )


def _named(handler: object) -> Iterator[Announcement]:
    function = unwrap(handler) if callable(handler) else None
    if isinstance(function, FunctionType):
        for name in function.__code__.co_names:
            if isinstance(found := function.__globals__.get(name), Announcement):
                yield found


def _reply(then: object) -> Reply:
    try:
        reply = read_word(then) if isinstance(then, str) else then
    except ReplyError as error:
        raise DeclarationError(f"Announcement: then is {error}", place_of_call()) from None
    if not is_reply(reply) or not reply.ends_call:
        raise DeclarationError(
            'Announcement: then must lead on: "222", "hangup", Forward("222") or Hangup()',
            place_of_call(),
        )
    return reply
