"""The resource types of the PBX's API: paths, models and names.

Rule 1: a resource type is one row here and one model. The client, the simulated PBX and the
        commands derive the rest.

Source: the PBX's REST API, ``/ivrs``, ``/ivrs/{id}/action_urls``, ``/ivr_servers``, ``/holidays``,
``/files``.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Generic, TypeVar

from receiver.pbx.fields import Model
from receiver.pbx.models import ActionUrl, IvrSummary
from receiver.pbx.models_ivr import Ivr
from receiver.pbx.models_shared import Holiday, IvrServer, PromptFile

M_co = TypeVar("M_co", bound=Model, covariant=True)
S_co = TypeVar("S_co", bound=Model, covariant=True)


@dataclass(frozen=True, slots=True)
class ResourceType(Generic[M_co, S_co]):
    """A resource type of the API.

    Attributes:
        one, many: its names, for messages.
        path: of the collection, below ``/api``; of a nested one, below its parent.
        whole, summary: the models of one resource, and of one in a list.
        order: the default order of a list.
        names: keys that identify a resource for a person, the best first.
        identity: keys by which a lost create is recognised.
        paged: False if a list is returned as a whole, with each resource in full.
    """

    one: str
    many: str
    path: str
    whole: type[M_co]
    summary: type[S_co]
    order: str = "name asc"
    names: tuple[str, ...] = ("id", "name")
    identity: tuple[str, ...] = ("name",)
    paged: bool = True

    @property
    def noun(self) -> str:
        """Its name without an article."""
        return self.one.partition(" ")[2]


IVR = ResourceType(
    one="an IVR",
    many="IVRs",
    path="/ivrs",
    whole=Ivr,
    summary=IvrSummary,
    order="extension_number asc",
    names=("id", "extension_number", "name"),
    identity=("extension_number", "name"),
)
ACTION_URL = ResourceType(
    one="an action URL",
    many="action URLs of an IVR",
    path="/action_urls",
    whole=ActionUrl,
    summary=ActionUrl,
    identity=("name", "url"),
    paged=False,
)
SERVER = ResourceType(
    one="an IVR server",
    many="IVR servers",
    path="/ivr_servers",
    whole=IvrServer,
    summary=IvrServer,
    identity=("name", "ipv4", "ipv6"),
)
HOLIDAY = ResourceType(
    one="a holiday",
    many="holidays",
    path="/holidays",
    whole=Holiday,
    summary=Holiday,
    identity=tuple(name for name in Holiday.__struct_fields__ if name != "id"),
)
FILE = ResourceType(one="a file", many="files", path="/files", whole=PromptFile, summary=PromptFile)

TOP_LEVEL: tuple[ResourceType[Model, Model], ...] = (IVR, SERVER, HOLIDAY, FILE)
"""The resource types that do not belong to an IVR."""
