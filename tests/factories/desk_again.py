"""The same desk again, for the next test: what its services wrote the first time is written once more, statement by
statement, under every guard and constraint, without asking the services again.

Making a desk is some hundred and forty statements through the ORM, and hundreds of tests begin with one. The first
test of a process makes it (`paper_desk`) and the statements that write are kept; a test whose database begins as that
one did gets them again, at its own time.
"""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from django.contrib.auth.models import Group
from django.db import connection, transaction
from django.db.models import Model
from django.utils import timezone

from apps.common.api import rates
from apps.connectors import selectors as connector_selectors
from apps.connectors.services import venue
from apps.policies import selectors as policy_selectors
from apps.trades.selectors import watch
from tests.factories.desk import PaperDesk, paper_desk
from tests.venues.simulator_process import SimulatorProcess

# What a process remembers of rows by their ids, which are the same in every test that begins here.
_REMEMBERED = (
    policy_selectors._kept,
    watch._known,
    connector_selectors._cash,
    rates._over,
    rates._heard,
)
# What is hashed names its time in its bytes too.
_SEALED = ("audit_", '"audit_')
_WRITES = ("INSERT", "UPDATE", "DELETE")


@dataclass(kw_only=True)
class _Kept:
    """The desk as it was made at `now`, and what was written: SQL, parameters, and whether its times may be moved."""

    desk: PaperDesk
    now: datetime
    written: list[tuple[str, Any, bool]]


_kept: dict[tuple[Any, ...], _Kept] = {}


def paper_desk_again(simulator: SimulatorProcess) -> PaperDesk:
    """A desk ready to trade on the simulator, as `paper_desk` makes it."""
    venue.close_all()
    for memory in _REMEMBERED:
        memory.clear()  # type: ignore[attr-defined]
    beginning = _beginning(simulator)
    kept = _kept.get(beginning)
    if kept is None:
        kept = _kept[beginning] = _make(simulator)
        return _copy(kept, kept.now)
    now = timezone.now()
    then, today = _as_parameter(kept.now), _as_parameter(now)
    with transaction.atomic(), connection.cursor() as cursor:
        for sql, params, may_move in kept.written:
            moved = [today if value == then else value for value in params] if may_move else params
            cursor.execute(sql, moved)
    return _copy(kept, now)


def _beginning(simulator: SimulatorProcess) -> tuple[Any, ...]:
    """What the statements depend on: the venue, the roles, and on SQLite the numbers that the next rows get."""
    groups = tuple(Group.objects.order_by("pk").values_list("pk", "name"))
    if connection.vendor != "sqlite":
        return (simulator.url, groups)
    with connection.cursor() as cursor:
        cursor.execute("SELECT name, seq FROM sqlite_sequence ORDER BY name")
        return (simulator.url, groups, tuple(cursor.fetchall()))


def _make(simulator: SimulatorProcess) -> _Kept:
    written: list[tuple[str, Any, bool]] = []

    def keep(execute: Callable[..., Any], sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith(_WRITES):
            assert not many
            is_sealed = any(f" {head}{table}" in sql for head in ("INTO ", "UPDATE ") for table in _SEALED)
            written.append((sql, list(params or ()), not is_sealed))
        return execute(sql, params, many, context)

    now = timezone.now()
    with connection.execute_wrapper(keep):
        desk = paper_desk(simulator, now=now)
    return _Kept(desk=desk, now=now, written=written)


def _as_parameter(moment: datetime) -> Any:
    """The moment as it stands among the parameters of a statement."""
    return connection.ops.adapt_datetimefield_value(moment)


def _copy(kept: _Kept, now: datetime) -> PaperDesk:
    """The desk in objects of its own, whose times are those that were written."""
    simulator = kept.desk.simulator
    copied = deepcopy(kept.desk, {id(simulator): simulator})
    for field in fields(copied):
        row = getattr(copied, field.name)
        if isinstance(row, Model):
            for name, value in vars(row).items():
                if value == kept.now:
                    setattr(row, name, now)
    return copied
