"""The common design: FastAPI with an async ORM session per request that commits before the response.

It has the same route, rows and guarantees (each customer and thread once, dense sequences, commit on disk), in tables
that suit an ORM: each has a primary key of one column. It creates the tables and the known customers if they are
missing, and serves. Its arguments: database URL, port, token, business id, first customer, number of customers.
"""

import asyncio
import hashlib
import sys
import time
from typing import Annotated, Any

import uvicorn
from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel, EmailStr, Field, model_validator
from sqlalchemy import BigInteger, ForeignKey, Integer, String, Text, UniqueConstraint, event, func, insert, select
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine, AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

POOL_SIZE = 20
ORGANIZATION_ID = 1
Id = Annotated[int, mapped_column(BigInteger().with_variant(Integer, "sqlite"), primary_key=True)]


class Base(DeclarativeBase):
    """The tables."""


class Token(Base):
    __tablename__ = "tokens"
    token_hash: Mapped[str] = mapped_column(String(64), primary_key=True)
    organization_id: Mapped[int] = mapped_column(BigInteger)


class Business(Base):
    __tablename__ = "businesses"
    id: Mapped[Id]
    organization_id: Mapped[int] = mapped_column(BigInteger)


class Customer(Base):
    __tablename__ = "customers"
    __table_args__ = (UniqueConstraint("organization_id", "email"), UniqueConstraint("organization_id", "phone_number"))
    id: Mapped[Id]
    organization_id: Mapped[int] = mapped_column(BigInteger)
    email: Mapped[str | None] = mapped_column(Text)
    phone_number: Mapped[str | None] = mapped_column(Text)
    locale: Mapped[str | None] = mapped_column(Text)


class Thread(Base):
    __tablename__ = "threads"
    __table_args__ = (UniqueConstraint("customer_id", "business_id"),)
    id: Mapped[Id]
    customer_id: Mapped[int] = mapped_column(ForeignKey(Customer.id))
    business_id: Mapped[int] = mapped_column(ForeignKey(Business.id))
    status: Mapped[str] = mapped_column(String(16), default="waiting")
    last_sequence: Mapped[int] = mapped_column(default=0)
    updated_at_ms: Mapped[int] = mapped_column(BigInteger, default=0)


class Message(Base):
    __tablename__ = "messages"
    __table_args__ = (UniqueConstraint("thread_id", "sequence"),)
    id: Mapped[Id]
    thread_id: Mapped[int] = mapped_column(ForeignKey(Thread.id))
    sequence: Mapped[int]
    body: Mapped[str] = mapped_column(Text)
    created_at_ms: Mapped[int] = mapped_column(BigInteger)


class Event(Base):
    __tablename__ = "events"
    id: Mapped[Id]
    type: Mapped[str] = mapped_column(String(32))
    message_id: Mapped[int] = mapped_column(ForeignKey(Message.id))
    created_at_ms: Mapped[int] = mapped_column(BigInteger)


class User(BaseModel):
    email: EmailStr | None = None
    phoneNumber: str | None = None  # noqa: N815 - the contract's name
    locale: str | None = Field(None, max_length=35)

    @model_validator(mode="after")
    def _reachable(self) -> "User":
        if self.email is None and self.phoneNumber is None:
            raise ValueError("email or phoneNumber is required")
        return self


class Send(BaseModel):
    businessId: int  # noqa: N815
    message: str = Field(min_length=1, max_length=10_000)
    user: User


def make_engine(url: str) -> AsyncEngine:
    """Connect as usual, but with the same durability as Shopbell."""
    given = make_url(url)
    if given.get_backend_name() == "postgresql":
        return create_async_engine(given.set(drivername="postgresql+asyncpg"), pool_size=POOL_SIZE, max_overflow=0)
    engine = create_async_engine(
        given.set(drivername="sqlite+aiosqlite"), connect_args={"timeout": 30}, pool_size=POOL_SIZE
    )

    @event.listens_for(engine.sync_engine, "connect")
    def connected(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
            connection.execute(f"PRAGMA {pragma}")

    @event.listens_for(engine.sync_engine, "begin")
    def begun(connection: Any) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")  # a deferred transaction fails when it starts to write

    return engine


async def take_message(session: AsyncSession, organization_id: int, send: Send) -> int:
    """Find or create customer and thread, add message and event, commit; return the thread's id."""
    now_ms = time.time_ns() // 1_000_000
    if await session.scalar(select(Business.id).filter_by(id=send.businessId, organization_id=organization_id)) is None:
        raise HTTPException(403, "Business does not belong to this organization")
    user = send.user
    known = Customer.email == str(user.email) if user.email is not None else Customer.phone_number == user.phoneNumber
    customer = await session.scalar(select(Customer).where(Customer.organization_id == organization_id, known))
    if customer is None:
        customer = Customer(
            organization_id=organization_id, email=user.email, phone_number=user.phoneNumber, locale=user.locale
        )
        session.add(customer)
        await session.flush()
    of_both = select(Thread).filter_by(customer_id=customer.id, business_id=send.businessId).with_for_update()
    thread = await session.scalar(of_both)
    if thread is None:
        thread = Thread(customer_id=customer.id, business_id=send.businessId, last_sequence=0)
        session.add(thread)
    thread.status, thread.updated_at_ms = "waiting", now_ms
    thread.last_sequence += 1
    await session.flush()
    message = Message(thread_id=thread.id, sequence=thread.last_sequence, body=send.message, created_at_ms=now_ms)
    session.add(message)
    await session.flush()
    session.add(Event(type="message", message_id=message.id, created_at_ms=now_ms))
    thread_id = thread.id
    await session.commit()
    return thread_id


def make_app(engine: AsyncEngine) -> FastAPI:
    """Return the application with its only route, and a path for readiness."""
    app = FastAPI()
    make_session = async_sessionmaker(engine, expire_on_commit=False)

    async def organization(token: Annotated[str, Header()]) -> int:
        async with make_session() as session:
            found = await session.get(Token, hashlib.sha256(token.encode()).hexdigest())
        if found is None:
            raise HTTPException(401)
        return found.organization_id

    @app.post("/api/widget/send-message-to-business")
    async def send_message(send: Send, organization_id: Annotated[int, Depends(organization)]) -> dict[str, str]:
        for _ in range(5):
            async with make_session() as session:
                try:
                    thread_id = await take_message(session, organization_id, send)
                except IntegrityError:  # another request created the customer or the thread
                    continue
            return {"result": "ok", "customerThreadId": str(thread_id)}
        raise HTTPException(503)

    @app.get("/readyz")
    async def ready() -> dict[str, str]:
        return {"status": "ready"}

    return app


async def fill(engine: AsyncEngine, token: str, business_id: int, first: int, known: int) -> None:
    """Create the tables and the known customers if they are missing."""
    async with engine.begin() as tx:
        await tx.run_sync(Base.metadata.create_all)
        if await tx.scalar(select(func.count()).select_from(Token)):
            return
        await tx.execute(
            insert(Token), {"token_hash": hashlib.sha256(token.encode()).hexdigest(), "organization_id": 1}
        )
        await tx.execute(insert(Business), {"id": business_id, "organization_id": ORGANIZATION_ID})
        customers = [
            {"id": n + 1, "organization_id": 1, "email": f"c{first + n}@example.com", "locale": "en"}
            for n in range(known)
        ]
        await tx.execute(insert(Customer), customers)
        threads = [{"id": n + 1, "customer_id": n + 1, "business_id": business_id} for n in range(known)]
        await tx.execute(insert(Thread), threads)
        if engine.dialect.name == "postgresql":
            for table in ("customers", "threads"):
                await tx.exec_driver_sql(f"SELECT setval('{table}_id_seq', {known})")


async def _main(url: str, port: int, token: str, business_id: int, first: int, known: int) -> None:
    engine = make_engine(url)
    await fill(engine, token, business_id, first, known)
    config = uvicorn.Config(
        make_app(engine), port=port, loop="uvloop", http="httptools", access_log=False, log_level="error"
    )
    await uvicorn.Server(config).serve()


if __name__ == "__main__":
    database_url, *rest = sys.argv[1:]
    port, token, *numbers = rest
    asyncio.run(_main(database_url, int(port), token, *map(int, numbers)))
