"""The behaviour of the simulated PBX where it is undocumented or differs: one switch for each.

Rule 1: a switch is a field with a default; the simulated PBX depends on nothing else.
Rule 2: a version means its last release: "22.2" has the changes of 22.2.19.

Source: the release notes of the PBX, and the change log of its REST API from 22.3 to 22.6. The
switches are the places where the vendor's documents are silent or contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

from receiver.pbx.fields import older

Version = Literal["22.0", "22.2", "22.3", "22.6"]
"""The releases between which the API differs."""

VERSIONS: tuple[Version, ...] = get_args(Version)
"""All of them, oldest first."""

Blanks = Literal["null", "empty", "omitted"]
"""The form of a field without a value: ``null``, ``""`` (texts only), or left out."""

Nulls = Literal["refused", "ignored"]
"""The treatment of a ``null`` in a request: as an error, or as a missing field."""

Secrets = Literal["clear", "masked"]
"""The form in which a password, token or PIN is returned."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """The switches. ::

        phone.behaviour = Behaviour(after_failure="menu")

    Attributes:
        version: the release, with its fields, endpoints and forms of a mask.
        blanks: how a field without a value is returned; the schemas of the API allow no null.
        nulls: how null in a request is treated; the schemas of the API allow none.
        secrets: how passwords, tokens and PINs are returned.
        ids: a decimal number, or the base64 of one.
        skip_origin: the number of the first item for ``skip``; the vendor documents both 0 and 1.
        update: a field that an update leaves out is kept, or reset to its default.
        sign_in: False makes ``/auth`` answer 404 in every version, as before 22.2.11.
        token_life: lifetime of an access token in seconds.
        switch_lasts: what a system administrator's choice of a tenant applies to: the tokens of
            one sign-in, or only the one access token.
        rate: requests answered per minute, 0 for no limit; further ones get 429.
        quota: how many IVRs a tenant may create over the API.
        pin_length: fewest and most digits of a DISA PIN since 22.3, by the tenant's policy. Up to
            22.2 there are 6 to 10, without repetitions and runs, and a create needs one.
        created, appended, destroyed: the status of a create, a chunk of an upload, a destroy.
        digests: whether the ``digest`` of an upload is bare hexadecimal, or prefixed ``sha256:``.
        after_failure: after a failed callback the call stays at the prompt, follows the IVR's
            ``failure_forward_rule``, continues in the IVR's menu with the same digits, or is hung
            up.
        finish_key: whether ``#`` after digits ends the input, and whether it is then sent in
            ``input`` behind them; with ``"none"`` it is a key like any other.
    """

    version: Version = "22.6"
    blanks: Blanks = "omitted"
    nulls: Nulls = "refused"
    secrets: Secrets = "clear"
    ids: Literal["base64", "decimal"] = "base64"
    skip_origin: Literal[0, 1] = 0
    update: Literal["partial", "replacing"] = "partial"
    sign_in: bool = True
    token_life: int = 1800
    switch_lasts: Literal["session", "token"] = "session"
    rate: int = 0
    quota: int = 20
    pin_length: tuple[int, int] = (6, 10)
    created: Literal[201, 200] = 201
    appended: Literal[203, 202] = 203
    destroyed: Literal[204, 200] = 204
    digests: Literal["bare", "prefixed"] = "bare"
    after_failure: Literal["prompt", "failure_rule", "menu", "hang_up"] = "prompt"
    finish_key: Literal["none", "sent", "stripped"] = "none"

    def until(self, last: str) -> bool:
        """Return whether this version is ``last`` or an older one; False for an empty ``last``."""
        return bool(last) and not older(last, self.version)

    def has(self, since: Version) -> bool:
        """Return whether this version is ``since`` or a newer one."""
        return not older(self.version, since)
