"""Callers by the country they call from: a handler that others can install.

Rule: it uses nothing but the public names of ``receiver``.
"""

from collections.abc import Mapping

from receiver import Call, DeclarationError, Reply, Then, handler_of, is_sensitive


class Language:
    """A handler that asks another one, by how the caller's number begins.

    Parameters:
        beginnings: where callers lead, as in ``{"+49": "201", "+33": "202"}``; the longest counts.
        other: where all others lead; by default the prompt is played again.

    In a file::

        handler = "language"
        beginnings = {"+49" = "201", "+33" = "202"}
        other = "200"

    Raises:
        DeclarationError: there is nothing to choose from.
    """

    def __init__(self, beginnings: Mapping[str, Then], other: Then = "repeat") -> None:
        if not beginnings:
            raise DeclarationError("Language: beginnings= is a table with at least one entry")
        self._leads = [
            (beginning, handler_of(beginnings[beginning], f"Language: {beginning}"))
            for beginning in sorted(beginnings, key=len, reverse=True)
        ]
        self._other = handler_of(other, "Language: other")
        self.sensitive = is_sensitive(self._other, *(lead for _, lead in self._leads))

    async def __call__(self, call: Call) -> Reply:
        for beginning, lead in self._leads:
            if call.caller.startswith(beginning):
                return await lead(call)
        return await self._other(call)
