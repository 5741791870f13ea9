"""The receiver in a FastAPI app that has its own lifespan.

::

    uvicorn --http receiver.server:Http --no-access-log --no-proxy-headers \\
        examples.19_fastapi:site
    RECEIVER_PUBLIC_URL=https://www.example.com/calls receiver plan examples/19_fastapi.py:app
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from receiver import Call, Forward, Ivr, Receiver, Reply

ivr = Ivr("8000")
picked: list[str] = []


@ivr.dtmf("1")
async def pick(call: Call) -> Reply:
    call.after(picked.append, call.ivr)
    return Forward("222")


app = Receiver(ivr)


@asynccontextmanager
async def lifespan(site: FastAPI) -> AsyncIterator[None]:
    async with app.lifespan():  # FastAPI runs no lifespan of a mounted app
        yield


site = FastAPI(lifespan=lifespan)
site.mount("/calls", app)


@site.get("/picked")
async def how_many() -> int:
    return len(picked)
