"""The same as L1 with FastAPI, as its documentation writes it: a model, its security dependencies.

FastAPI has no digest that checks a response, so this has none.
"""

import hmac
from typing import Annotated

from fastapi import Depends, FastAPI, HTTPException
from fastapi.security import (
    HTTPAuthorizationCredentials,
    HTTPBasic,
    HTTPBasicCredentials,
    HTTPBearer,
)
from pydantic import BaseModel, Field

from tests.support import credentials


class Fields(BaseModel):
    """The fields that the PBX sends."""

    session_id: str
    caller: str = Field(alias="from")
    ivr: str = Field(alias="to")
    digits: str = Field(alias="input")
    from_name: str
    account_name: str


class Answer(BaseModel):
    """The answer to the PBX."""

    status_code: int = 200
    action: str = "call"
    destination: str


def fastapi_app() -> FastAPI:
    app = FastAPI(openapi_url=None)
    token = credentials("888/post-bearer").token.reveal().encode()
    known = credentials("888/get-basic")
    pair = known.username.encode(), known.password.reveal().encode()

    async def bearer(sent: Annotated[HTTPAuthorizationCredentials, Depends(HTTPBearer())]) -> None:
        if not hmac.compare_digest(sent.credentials.encode(), token):
            raise HTTPException(401)

    async def basic(sent: Annotated[HTTPBasicCredentials, Depends(HTTPBasic())]) -> None:
        right = hmac.compare_digest(sent.username.encode(), pair[0])
        if not (hmac.compare_digest(sent.password.encode(), pair[1]) and right):
            raise HTTPException(401)

    @app.post("/action/888/post-bearer", dependencies=[Depends(bearer)])
    async def post(fields: Fields) -> Answer:
        return Answer(destination="222" if fields.ivr == "888" else "0")

    @app.get("/action/888/get-basic", dependencies=[Depends(basic)])
    async def get(to: str, session_id: str, input: str) -> Answer:
        return Answer(destination="222" if to == "888" else "0")

    return app
