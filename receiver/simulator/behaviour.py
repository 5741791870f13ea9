"""What PBXs may do differently from each other: one switch for each thing that is not documented.

Rule 1: a switch is a field with a default; nothing else decides how the simulated PBX behaves.
Rule 2: a version stands for its last release: "22.2" has what came with 22.2.19.

Source: the release notes of the PBX, and the change log of its REST API from 22.3 to 22.6. The
switches are the places where the vendor's documents are silent or contradict each other.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

Version = Literal["22.0", "22.2", "22.3", "22.6"]
"""The releases between which the API differs."""

VERSIONS: tuple[Version, ...] = get_args(Version)
"""All of them, oldest first."""

Blanks = Literal["null", "empty", "omitted"]
"""How a field without a value is given: as ``null``, as ``""`` (texts only), or not at all."""

Secrets = Literal["clear", "masked"]
"""How a password, token or PIN is given."""


@dataclass(frozen=True, slots=True)
class Behaviour:
    """How this PBX behaves.

    Attributes:
        version: which fields, endpoints and forms of a mask there are.
        blanks: how a field without a value is given.
        secrets: how passwords, tokens and PINs are given.
        ids: a decimal number, or the base64 of one.
        skip_origin: the number of the first item for ``skip``; the vendor says both 0 and 1.
        update: what an update leaves out stays, or goes back to its default.
        sign_in: False has ``/auth`` answer 404 in every version, as before 22.2.11.
        token_life: seconds for which an access token is good.
        switch_lasts: what a system administrator's choice of a tenant holds for: the tokens of
            one sign-in, or only the one access token.
        rate: requests that are answered in a minute, 0 for any number; the others get 429.
        quota: how many IVRs a tenant may create over the API.
        pin_length: fewest and most digits of a PIN since 22.3, where the tenant's policy says it.
        created, appended, destroyed: the status of a create, a chunk of an upload, a destroy.
        digests: whether the ``digest`` of an upload is bare hexadecimal or ``sha256:`` before it.
        after_failure: what becomes of a call whose callback failed: it stays at the prompt, it
            follows the IVR's ``failure_forward_rule``, the IVR's own menu takes what was keyed in,
            or it is hung up on.
    """

    version: Version = "22.6"
    blanks: Blanks = "null"
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

    def has(self, since: Version) -> bool:
        """Whether what came with version ``since`` is there."""
        return VERSIONS.index(self.version) >= VERSIONS.index(since)
