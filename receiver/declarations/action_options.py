"""The options of an action, as the decorators take them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from receiver.auth import Algorithm, Auth
from receiver.calls import FinishKey
from receiver.declarations.actions import Method, OnTimeout
from receiver.declarations.fallbacks import Fallback


class ActionOptions(TypedDict, total=False):
    """The options of an action. ::

        options: ActionOptions = {"auth": "digest", "fallback": Forward("0")}
        ivr.add("DTMF", "7", pick, name="seven", **options)

    Keys:
        name: 1 to 64 characters, the identity on the PBX; by default the function's name.
        was: the former name of a renamed action. Its old path is answered too, until ``apply`` has
            moved the action URL; then the option can be removed.
        method: ``"POST"`` (the default), or ``"GET"``, which puts what the caller keyed in into
            URLs.
        auth: ``"bearer"`` (the default), ``"basic"``, ``"digest"``, or None for no authentication.
        request_timeout: seconds that the PBX waits for the answer, 1 to 30, by default 2.
        connection_timeout: seconds that the PBX waits for a connection, 1 to 30, by default 2.
        headers: further headers that the PBX sends.
        secret_header: the name of a header in which the PBX sends a secret, derived like the
            credentials, that every callback must contain in addition to them.
        algorithms: of digest, in the order in which they are offered: ``("MD5",)`` (the default),
            ``("SHA-256",)``, which 9 of 23 measured clients do not know, or ``("MD5", "SHA-256")``.
        uri_without_query: True accepts a digest whose ``uri`` lacks the query, as old libcurl and
            .NET may send it. It then proves nothing about the query: use it with POST.
        fallback: the answer if the handler is late, raises or returns no reply: a reply, or a plain
            function of the call that gives one at once.
        on_timeout: ``"cancel"`` (the default) ends a handler that exceeds its deadline. With
            ``"continue"`` it runs on, the caller hears the prompt again, and its reply is given at
            the next callback of the call.
        max_concurrency: how many calls the handler may process at the same time; further ones get
            the fallback immediately. By default any number.
        max_repeats: how often in a row a call may get `Repeat` before it gets the fallback, by
            default 3, or as often as the handler needs (its attribute ``repeats``).
        finish_key: ``"#"`` or ``"*"``: the handler gets the digits without this key at their end;
            by default unchanged. `handlers.account` and `handlers.menu` strip a ``#`` anyway.
        sensitive: True never shows digits and numbers in a log, regardless of the settings; by
            default if the handler has an attribute of this name that is True.
        enabled: False keeps the action URL on the PBX but switched off.
    """

    name: str
    was: str
    method: Method
    auth: Auth | None
    request_timeout: int
    connection_timeout: int
    headers: Mapping[str, str]
    secret_header: str
    algorithms: tuple[Algorithm, ...]
    uri_without_query: bool
    fallback: Fallback | None
    on_timeout: OnTimeout
    max_concurrency: int
    max_repeats: int
    finish_key: FinishKey
    sensitive: bool
    enabled: bool
