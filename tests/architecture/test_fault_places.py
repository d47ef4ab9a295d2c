"""Where an order passes, a crash test can stop it: before and after every commit and every call of a venue."""

import ast
from collections.abc import Iterator

import pytest

from apps.common import fault_places, faults
from apps.common.fault_places import ROWS, Call, Commit, Moment
from apps.connectors.types import Connector
from apps.connectors.venues.coinbase.oauth import OAuthClient
from tests.architecture.source import Module, dotted, modules
from tests.crash.cells import LABELS, ROW_OF, WITHOUT

# What an order passes on its way: every module below these.
ON_THE_WAY = (
    "apps/trades/services/",
    "apps/trades/tasks.py",
    "apps/approvals/services/",
    "apps/policies/services/trading_state.py",
    "apps/common/tasks.py",
    "apps/connectors/venues/http.py",
    "apps/connectors/services/bearers.py",
    "apps/connectors/services/bearer_source.py",
    "apps/connectors/services/venue.py",
)
# "path function: what" -> why there is no place there.
EXEMPT: dict[str, str] = {
    "apps/approvals/services/decide.py _approve: transaction": "A savepoint inside the vote, for want of room.",
    "apps/approvals/services/decide.py _cast: transaction": "A savepoint inside the vote; its commit is the vote's.",
    "apps/policies/services/trading_state.py _locked: transaction": "A savepoint inside the halt.",
    "apps/policies/services/trading_state.py request_resume: transaction": "Asks for a second person; moves no state.",
    "apps/trades/services/market.py poll_once: venue": "The poller only reads; no order waits for it.",
    "apps/trades/tasks.py refresh_market_facts: venue": "A sweep that reads; it decides nothing.",
    "apps/trades/services/proposals.py unasked: transaction": "A savepoint inside the proposal, for want of room.",
    "apps/trades/services/market.py _refresh_old: venue": "Called by make_fresh alone, inside its place.",
    "apps/connectors/services/venue.py ask_granted: venue": "Called by look_again alone, inside its place.",
    "apps/trades/services/hook_intake.py record_refusal: transaction": "Keeps that nothing came of a call.",
    "apps/trades/services/hook_intake.py _keep_repeated: transaction": "Keeps that a call was one answered before.",
    "apps/trades/services/remembering.py _alone: transaction": "A sweep for the memory; no order waits for it.",
    "apps/trades/services/remembering.py _handed_over: transaction": "A savepoint inside the booking, for a memory "
    "that fails.",
    "apps/trades/services/backfilling.py of_outcomes: transaction": "A command for the memory; no order waits for it.",
    "apps/trades/services/backfilling.py _take: transaction": "A command for the memory; no order waits for it.",
    "apps/trades/services/outcomes.py report_outcome: transaction": "Keeps what was reported; no order waits for it.",
    **{
        f"apps/trades/services/hooks.py {name}: transaction": "Sets up a door; no order waits for it."
        for name in ("create", "change", "rotate", "enable", "request_enable", "disable")
    },
}
# Rows without a point, and what tests them instead.
ROWS_ELSEWHERE: dict[int, str] = {}

# Connector.close only lets sockets go.
VERBS = {name for name, value in vars(Connector).items() if callable(value) and not name.startswith("_")} - {"close"}
# What is asked of a venue's OAuth server.
OAUTH_VERBS = {name for name, value in vars(OAuthClient).items() if callable(value) and not name.startswith("_")}
# The reads of the right-hand apps that reach a venue.
REACHING = {
    "quotes.refresh",
    "quotes.fresh",
    "sync.refresh_instruments",
    "sync.refresh_balances",
    "sync.refresh_fees",
    "clocks.measure",
    # What a bearer source was given to ask the venue with.
    "ask_granted",
}


class Finder(ast.NodeVisitor):
    """Every transaction and venue call of a module that stands in no place, as "function: what"."""

    def __init__(self, tree: ast.Module) -> None:
        self.found: list[str] = []
        self._functions: list[str] = []
        self._calls = 0
        self.visit(tree)

    def _say(self, what: str) -> None:
        self.found.append(f"{self._functions[-1] if self._functions else '(module)'}: {what}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> None:
        self._functions.append(node.name)
        self.generic_visit(node)
        self._functions.pop()

    def visit_With(self, node: ast.With) -> None:
        inside = any(
            isinstance(item.context_expr, ast.Call) and dotted(item.context_expr.func) == "faults.call"
            for item in node.items
        )
        self._calls += inside
        self.generic_visit(node)
        self._calls -= inside

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if dotted(node) == "transaction.atomic":
            self._say("transaction")
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        if not self._calls and self._reaches(node.func):
            self._say("venue")
        self.generic_visit(node)

    def _reaches(self, called: ast.expr) -> bool:
        if dotted(called) in REACHING:
            return True
        if isinstance(called, ast.Attribute) and called.attr in OAUTH_VERBS:
            made = called.value.func if isinstance(called.value, ast.Call) else called.value
            return dotted(made).rpartition(".")[2] in {"client", "OAuthClient"}
        # A verb of a connector: by the name it is kept under, or straight from where it is made.
        if not isinstance(called, ast.Attribute) or called.attr not in VERBS:
            return False
        owner = called.value
        return dotted(owner) == "connector" or (isinstance(owner, ast.Call) and dotted(owner.func) == "venue.connect")


def on_the_way() -> Iterator[Module]:
    return (module for module in modules() if module.where.startswith(ON_THE_WAY))


def bare() -> list[str]:
    return [f"{module.where} {found}" for module in on_the_way() for found in Finder(module.tree).found]


def places() -> dict[str, Commit | Call | Moment]:
    return {name: value for name, value in vars(fault_places).items() if isinstance(value, Commit | Call | Moment)}


def rows_of(place: Commit | Call | Moment) -> set[int]:
    return {place.row} if isinstance(place, Moment) else {place.row_before, place.row_after}


def test_every_commit_and_venue_call_on_an_orders_way_stands_between_two_points() -> None:
    """Write `with faults.commit(places.X):` for a transaction and `with faults.call(places.X):` around a venue call,
    and name the place, with its row of the crash matrix, in apps/common/fault_places.py."""
    assert [found for found in bare() if found not in EXEMPT] == []


def test_exemptions_are_still_needed() -> None:
    assert set(EXEMPT) <= set(bare())


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n with transaction.atomic(): pass",
        "@transaction.atomic\ndef f(): pass",
        "def f():\n venue.connect(row).place_order(body)",
        "def f():\n connector = venue.connect(row)\n connector.cancel_orders([one])",
        "def f():\n quotes.refresh(row, codes)",
        "def f():\n client = OAuthClient(us, api_base=base)\n client.refresh(token)",
        "def f():\n return oauth.OAuthClient(us, api_base=base).granted(token)",
        "def f(ask_granted):\n return ask_granted(token)",
        "def f():\n with faults.commit(places.CLAIM): connector.order(one)",
    ],
)
def test_one_without_a_place_is_found(source: str) -> None:
    assert len(Finder(ast.parse(source)).found) == 1


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n with faults.commit(places.CLAIM): pass",
        "def f():\n with faults.call(places.PLACE): connector.place_order(body)",
        "def f():\n rows.order('x')",
        "def f():\n with faults.call(places.BEARER_REFRESH): client.refresh(token)",
    ],
)
def test_one_with_a_place_is_not(source: str) -> None:
    assert Finder(ast.parse(source)).found == []


def test_every_create_passes_the_gate_of_a_halt() -> None:
    """`connector.place_order(body, gate=barrier.passing(...))`, see docs/decisions/0013."""
    found = [
        (module.where, {word.arg for word in node.keywords})
        for module in modules()
        if module.where.startswith("apps/") and not module.where.startswith("apps/connectors/")
        for node in module.walk()
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "place_order"
    ]
    assert found
    assert [where for where, words in found if "gate" not in words] == []


def test_every_place_is_used_and_named_once() -> None:
    used = {dotted(node) for module in modules() for node in module.walk() if isinstance(node, ast.Attribute)}
    assert [name for name in places() if not {f"places.{name}", f"places.{name}.label"} & used] == []
    names = [value.label if isinstance(value, Moment) else value.name for value in places().values()]
    assert len(names) == len(set(names))


def test_every_place_has_its_cells_in_the_crash_matrix_or_says_why_not() -> None:
    """`LABELS` of tests/crash/cells.py names the process that stops there; `WITHOUT` says why none does."""
    tried = {label for labels in LABELS.values() for label in labels}
    assert tried <= set(ROW_OF)
    assert {label.partition(".")[0] for label in set(ROW_OF) - tried} == set(WITHOUT)


def test_labels_are_said_in_one_place_only() -> None:
    assert [
        f"{module.where}:{call.lineno}"
        for module in modules()
        for call in module.walk()
        if isinstance(call, ast.Call) and dotted(call.func) in {"faults.point", "point"}
        for argument in call.args
        if isinstance(argument, ast.Constant)
    ] == []


def test_every_row_of_the_matrix_has_a_point_or_says_what_tests_it_instead() -> None:
    rows = set().union(*(rows_of(place) for place in places().values()))
    assert rows <= set(ROWS)
    assert rows.isdisjoint(ROWS_ELSEWHERE)
    assert rows | set(ROWS_ELSEWHERE) == set(ROWS)


def test_nothing_of_the_product_installs_a_hook() -> None:
    assert [
        module.where
        for module in modules()
        for node in module.walk()
        if isinstance(node, ast.Call) and dotted(node.func) == "faults.install"
    ] == []
    assert faults._hook is None
