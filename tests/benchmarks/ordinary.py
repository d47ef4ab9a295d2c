"""The endpoint of the ordinary kind that `intake` is measured beside: FastAPI and SQLAlchemy, as tutorials build it.

An order is checked against two limits and stored; then its approval row, its audit row and its new state, each with a
commit of its own. No idempotency, no recorded decision, no hash chain, no key check.
"""

import os
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated
from uuid import UUID, uuid4

from fastapi import Depends, FastAPI, Header, HTTPException
from pydantic import BaseModel
from sqlalchemy import JSON, ForeignKey, Numeric, String, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, sessionmaker

engine = create_engine(os.environ["ORDINARY_DATABASE_URL"], pool_size=16, max_overflow=4)
make_session = sessionmaker(engine)


class Base(DeclarativeBase):
    """Its tables begin with `ordinary_`."""


class OrderRow(Base):
    __tablename__ = "ordinary_order"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    instrument: Mapped[str] = mapped_column(String(40))
    side: Mapped[str] = mapped_column(String(4))
    quantity: Mapped[Decimal] = mapped_column(Numeric(38, 18))
    limit_price: Mapped[Decimal] = mapped_column(Numeric(38, 18))
    rationale: Mapped[str] = mapped_column(String(4000))
    status: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]


class ApprovalRow(Base):
    __tablename__ = "ordinary_approval"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(ForeignKey("ordinary_order.id"), index=True)
    status: Mapped[str] = mapped_column(String(20))
    created_at: Mapped[datetime]


class AuditRow(Base):
    __tablename__ = "ordinary_audit"
    id: Mapped[UUID] = mapped_column(primary_key=True, default=uuid4)
    order_id: Mapped[UUID] = mapped_column(index=True)
    event: Mapped[str] = mapped_column(String(40))
    detail: Mapped[dict[str, str]] = mapped_column(JSON)
    created_at: Mapped[datetime]


class OrderIn(BaseModel):
    """The same body Aika is sent."""

    connection: str
    instrument: str
    side: str
    order_type: str
    time_in_force: str
    quantity: Decimal
    limit_price: Decimal
    rationale: str = ""


def session() -> Iterator[Session]:
    """One session a request."""
    with make_session() as one:
        yield one


app = FastAPI()
MAX_NOTIONAL = Decimal(5000)
MAX_QUANTITY = Decimal("0.5")


@app.post("/api/v1/trades/proposals", status_code=201)
def create(
    order: OrderIn, db: Annotated[Session, Depends(session)], authorization: Annotated[str, Header()]
) -> dict[str, str]:
    """Check, store, ask for approval, write it down."""
    if not authorization.startswith("Bearer "):
        raise HTTPException(401)
    if order.quantity > MAX_QUANTITY or order.quantity * order.limit_price > MAX_NOTIONAL:
        raise HTTPException(422, "limit exceeded")
    now = datetime.now(UTC).replace(tzinfo=None)
    row = OrderRow(
        instrument=order.instrument,
        side=order.side,
        quantity=order.quantity,
        limit_price=order.limit_price,
        rationale=order.rationale,
        status="created",
        created_at=now,
    )
    db.add(row)
    db.commit()
    db.refresh(row)
    db.add(ApprovalRow(order_id=row.id, status="pending", created_at=now))
    db.commit()
    db.add(AuditRow(order_id=row.id, event="order.created", detail={"side": order.side}, created_at=now))
    db.commit()
    row.status = "pending_approval"
    db.commit()
    return {"id": str(row.id), "status": row.status}
