"""What may be wrong between the PBX and the service that it asks.

Rule 1: a value; whoever carries callbacks (`receiver.simulator.delivery`) does as it says.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong; nothing, if nothing is said.

    Attributes:
        slow: seconds that each request is under way, within the request timeout.
        dropped: the connection breaks off when the service has had the request.
        refused: nobody listens at the service's address.
        wrong_password: the PBX sends credentials that the service does not know.
    """

    slow: float = 0.0
    dropped: bool = False
    refused: bool = False
    wrong_password: bool = False
