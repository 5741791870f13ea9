"""An async SQLAlchemy session in a handler; the engine is opened and closed in the lifespan.

DATABASE_URL names another database, such as ``postgresql+asyncpg://…``. Serve ``site``. It needs
``pip install "sqlalchemy[asyncio]" aiosqlite``.
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import select
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from starlette.applications import Starlette
from starlette.routing import Mount

from receiver import Call, Forward, Ivr, Receiver, Repeat, Reply

engine = create_async_engine(os.environ.get("DATABASE_URL", "sqlite+aiosqlite://"))
new_session = async_sessionmaker(engine)
ivr = Ivr("8000")


class Base(DeclarativeBase): ...


class Customer(Base):
    __tablename__ = "customers"
    phone: Mapped[str] = mapped_column(primary_key=True)
    owner: Mapped[str]


@ivr.caller("any")
async def find_owner(call: Call) -> Reply:
    async with new_session() as database:
        owner = await database.scalar(select(Customer.owner).where(Customer.phone == call.caller))
    return Forward(owner) if owner else Repeat()  # an unknown caller hears the prompt


@asynccontextmanager
async def lifespan(site: Starlette) -> AsyncIterator[None]:
    async with engine.begin() as connection:
        await connection.run_sync(Base.metadata.create_all)
    async with app.lifespan():
        yield
    await engine.dispose()


app = Receiver(ivr)
site = Starlette(routes=[Mount("/", app)], lifespan=lifespan)
