"""How connectors ask their CRM: at its pace, with a secret from the environment, believing nothing.

Rule 1: an answer that is not what the CRM's interface describes is `receiver.Unavailable`, as is
        none. No text of an error holds anything of it.
Rule 2: a CRM that answers 429 is not asked again before it says so.
Rule 3: a secret is never shown. ``"$NAME"`` is the variable of that name, read when the connector
        is made.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from typing import Any

from handlers.crm.pace import Pace
from receiver import Call, DeclarationError, Secret, Unavailable
from receiver.upstream import Answer, Client, UpstreamRefused

_VARIABLE = re.compile(r"\$\{?([A-Za-z_][A-Za-z0-9_]*)\}?")


class Paced:
    """A `receiver.upstream.Client` that keeps a `Pace`."""

    def __init__(self, client: Client, pace: Pace) -> None:
        self._client = client
        self._pace = pace

    async def request(
        self,
        method: str,
        url: str,
        *,
        call: Call | None = None,
        aside: bool = False,
        params: Mapping[str, str | int] | None = None,
        json: object = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """As `Client.request`; ``aside`` as for `Pace.turn`.

        Raises:
            Unavailable: it would have been too late, or there was no good answer.
        """
        await self._pace.turn(call, aside=aside)
        try:
            return await self._client.request(
                method, url, call=call, params=params, json=json, content=content, headers=headers
            )
        except UpstreamRefused as error:
            if error.status == 429 or (error.status == 503 and error.retry_after is not None):
                self._pace.hold(error.retry_after)
            raise


def rows(value: Any, where: str) -> list[Mapping[str, Any]]:
    """``value`` if it is a list of JSON objects.

    Raises:
        Unavailable: it is something else; the text says ``where`` it stood, and nothing of it.
    """
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise Unavailable(f"{where} is not what its interface describes")
    return value


def row(value: Any, where: str) -> Mapping[str, Any]:
    """``value`` if it is a JSON object; errors as for `rows`."""
    return rows([value], where)[0]


def text_of(value: Any) -> str:
    """An id or a name as text: CRMs write ids as numbers, too; empty for what is neither."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return ""
    return str(value)


def secret_of(value: str | Secret, option: str) -> str:
    """The text of a secret, or of the variable that ``"$NAME"`` stands for.

    Parameters:
        option: what a problem is told of, as in ``"HubSpot: token"``.

    Raises:
        DeclarationError: it is empty, or there is no such variable.
    """
    text = value.reveal() if isinstance(value, Secret) else value
    if isinstance(text, str) and (variable := _VARIABLE.fullmatch(text)):
        text = os.environ.get(variable[1], "")
        if not text:
            raise DeclarationError(f"{option}: the variable {variable[1]} is not set")
    if not isinstance(text, str) or not text:
        raise DeclarationError(f'{option} is a text, or "$NAME" for a variable of that name')
    return text


def expand(text: str, option: str) -> str:
    """``text`` with variables in the place of their names, as in ``"Token $CRM_TOKEN"``.

    Raises:
        DeclarationError: one is not set, or that is no text.
    """
    if not isinstance(text, str):
        raise DeclarationError(f"{option} is no text")
    return _VARIABLE.sub(lambda found: secret_of(found[0], option), text)
