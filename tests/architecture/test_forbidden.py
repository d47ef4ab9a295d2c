"""House rules that no linter knows. An exemption carries its reason, and a stale one fails too."""

import ast
from collections.abc import Iterator
from typing import Any

import pytest
from django.apps import apps
from django.contrib import admin

from apps.common.fields import ExactDecimalField
from tests.architecture.source import Module, dotted, modules

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 60

# path -> why a binary float is right there. Never for money, quantities or prices.
FLOATS: dict[str, str] = {}
# path -> why this place may ask for the time.
CLOCKS: dict[str, str] = {
    "apps/accounts/session_store.py": "Django asks its session engine without a time, and no caller can pass one.",
}

# The doors: whoever calls them passes no time.
CLOCK_PLACES = {
    "admin",
    "api",
    "views",
    "tasks",
    "commands",
    "consumers",
    "sockets",
    "authentication",
    "adapter",
    "middleware",
    "templatetags",
}
CLOCK_CALLS = {"timezone.now", "datetime.now", "datetime.utcnow", "datetime.today", "date.today"}
NAMELESS = {"utils", "util", "helpers", "helper", "misc", "core", "manager", "handlers"}
DOORS = ("django.http", "django.contrib.admin", "django.shortcuts", "django.contrib.messages")


def calls(module: Module) -> Iterator[ast.Call]:
    return (node for node in module.walk() if isinstance(node, ast.Call))


def places(found: Iterator[tuple[Module, ast.AST]] | list[tuple[Module, ast.AST]], exempt: dict[str, str]) -> list[str]:
    """ "path:line" of everything found outside the exemptions."""
    return [f"{module.where}:{getattr(node, 'lineno', 0)}" for module, node in found if module.where not in exempt]


def floats() -> list[tuple[Module, ast.AST]]:
    return [(module, call) for module in modules() for call in calls(module) if dotted(call.func) == "float"]


def clocks() -> list[tuple[Module, ast.AST]]:
    return [
        (module, call)
        for module in modules()
        if module.parts[0] == "apps" and not CLOCK_PLACES & set(module.parts[2:])
        for call in calls(module)
        if dotted(call.func) in CLOCK_CALLS or dotted(call.func).removeprefix("datetime.") in CLOCK_CALLS
    ]


def test_money_never_becomes_a_float() -> None:
    assert places(floats(), FLOATS) == []


def test_the_clock_is_an_argument() -> None:
    assert places(clocks(), CLOCKS) == []


def test_exemptions_are_still_needed() -> None:
    assert set(FLOATS) <= {module.where for module, _ in floats()}
    assert set(CLOCKS) <= {module.where for module, _ in clocks()}


def test_modules_are_named_for_their_subject() -> None:
    assert [module.where for module in modules() if NAMELESS & set(module.parts)] == []


def test_services_know_no_door() -> None:
    assert [
        f"{module.where} imports {name}"
        for module in modules()
        if module.parts[0] == "apps" and {"services", "selectors", "rules", "models"} & set(module.parts[2:])
        for name in module.imported()
        if name.startswith(DOORS)
    ] == []


def test_nothing_happens_by_signal() -> None:
    assert [
        f"{module.where} imports {name}"
        for module in modules()
        if module.parts[0] == "apps"
        for name in module.imported()
        if name.startswith(("django.dispatch", "django.db.models.signals", "django.core.signals"))
    ] == []


def blind() -> Iterator[tuple[str, bool]]:
    """(where, whether it says why) of every handler that takes whatever there is."""
    for module in modules():
        lines = module.text.splitlines()
        for node in module.walk():
            if not isinstance(node, ast.ExceptHandler):
                continue
            taken = {"BaseException"} if node.type is None else {dotted(part) for part in ast.walk(node.type)}
            if taken & {"Exception", "BaseException"}:
                # On its own line, or before the first thing that it does.
                said = lines[node.lineno - 1 : node.body[0].lineno - 1]
                yield f"{module.where}:{node.lineno}", any("#" in line for line in said)


def test_who_takes_every_exception_says_why() -> None:
    found = dict(blind())
    assert any(where.startswith("apps/trades/services/orders.py:") for where in found), "they are found"
    assert [where for where, is_explained in found.items() if not is_explained] == []


def test_only_migrations_touch_guards() -> None:
    assert [
        module.where
        for module in modules()
        if module.where != "apps/common/guards.py" and any("guard_triggers" in name for name in module.imported())
    ] == []


def test_modules_are_short() -> None:
    assert [
        f"{module.where}: {lines} lines"
        for module in modules()
        if (lines := len(module.text.splitlines())) > MODULE_LINES_MAX
    ] == []


def test_functions_are_short() -> None:
    assert [
        f"{module.where}:{node.lineno} {node.name}: {lines} lines"
        for module in modules()
        for node in module.walk()
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        if (lines := (node.end_lineno or node.lineno) - node.lineno + 1) > FUNCTION_LINES_MAX
    ] == []


def exact_names() -> set[str]:
    """Field names that are exact decimals in every model that has them."""
    fields = [field for model in apps.get_models() for field in model._meta.concrete_fields]
    exact = {field.name for field in fields if isinstance(field, ExactDecimalField)}
    return exact - {field.name for field in fields if not isinstance(field, ExactDecimalField)}


def test_nothing_is_ordered_by_an_exact_decimal() -> None:
    """SQLite keeps them as text, and "9" sorts after "10"."""
    names = exact_names()
    in_code = [
        f"{module.where}:{call.lineno}"
        for module in modules()
        for call in calls(module)
        if isinstance(call.func, ast.Attribute) and call.func.attr in {"order_by", "earliest", "latest"}
        for argument in ast.walk(call)
        if isinstance(argument, ast.Constant) and isinstance(argument.value, str)
        if argument.value.removeprefix("-").split("__")[-1] in names
    ]
    in_models = [
        model._meta.label
        for model in apps.get_models()
        if any(str(name).removeprefix("-") in names for name in model._meta.ordering or ())
    ]
    assert (in_code, in_models) == ([], [])


@pytest.mark.django_db
def test_no_admin_list_sorts_by_an_exact_decimal(rf: Any) -> None:
    request = rf.get("/")
    wrong = []
    for model, found in admin.site._registry.items():
        exact = {field.name for field in model._meta.concrete_fields if isinstance(field, ExactDecimalField)}
        sortable = found.get_sortable_by(request)
        for column in found.get_list_display(request):
            shown = getattr(found, column, None) if isinstance(column, str) else column
            orders_by = str(getattr(shown, "admin_order_field", column)).removeprefix("-")
            if column in sortable and orders_by in exact:
                wrong.append(f"{model._meta.label}: {column}")
    assert wrong == []
