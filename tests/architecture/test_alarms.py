"""Every alarm that the code may raise is explained, and docs/alarms.md says the same as the code."""

import ast
from collections.abc import Iterator

import pytest
from django.conf import settings

from apps.audit.management.commands import write_alarm_table
from apps.common.alarm_kinds import ALARM_KINDS, SWEPT
from apps.policies.types import LatchKind
from apps.trades.services.differences import _SETTLED_AT_ONCE
from apps.trades.types import DifferenceKind
from tests.architecture.source import ROOT, Module, dotted, modules
from tests.architecture.test_env import documented

# Whoever passes one of these on, and where its values come from.
PASSED_ON = {
    "apps/audit/services/alarms.py": set(SWEPT),
    "apps/policies/services/latches.py": {f"LATCH_{kind}" for kind in LatchKind},
    "apps/trades/services/differences.py": {kind.value for kind in set(DifferenceKind) - _SETTLED_AT_ONCE},
}


def constants(module: Module) -> dict[str, str]:
    """Names of the module that stand for a text."""
    found = {}
    for node in module.tree.body:
        target = node.targets[0] if isinstance(node, ast.Assign) else getattr(node, "target", None)
        value = getattr(node, "value", None)
        if isinstance(target, ast.Name) and isinstance(value, ast.Constant) and isinstance(value.value, str):
            found[target.id] = value.value
    return found


def raised() -> Iterator[tuple[str, str]]:
    """(where, code) of every call of raise_alarm; the code is "" where it is passed on."""
    for module in modules():
        named = constants(module)
        for node in module.walk():
            if isinstance(node, ast.Call) and dotted(node.func).split(".")[-1] == "raise_alarm":
                code = next(item.value for item in node.keywords if item.arg == "code")
                text = str(code.value) if isinstance(code, ast.Constant) else named.get(dotted(code), "")
                yield module.where, text


def stood() -> set[str]:
    """The codes of everything the sweep reads as unresolved."""
    return {
        str(item.value.value)
        for module in modules()
        for node in module.walk()
        if isinstance(node, ast.Call) and dotted(node.func) == "Standing"
        for item in node.keywords
        if item.arg == "code" and isinstance(item.value, ast.Constant)
    }


def test_every_alarm_that_may_be_raised_is_explained_and_every_explained_one_may_be_raised() -> None:
    found = list(raised())
    assert {where for where, code in found if not code} == set(PASSED_ON)
    assert {code for _, code in found if code} | set().union(*PASSED_ON.values()) == set(ALARM_KINDS)


def test_the_sweep_reads_exactly_what_it_may_clear() -> None:
    assert stood() == SWEPT


@pytest.mark.parametrize("kind", [kind for kind in ALARM_KINDS.values() if kind.bound], ids=lambda kind: kind.code)
def test_a_bound_is_a_setting_in_seconds_with_its_default_on_the_page_of_variables(kind) -> None:  # type: ignore[no-untyped-def]
    assert kind.bound.endswith("_S")
    line = next(
        row
        for row in (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
        if row.startswith(f"{kind.bound}=")
    )
    assert line == f"{kind.bound}={getattr(settings, kind.bound)}"
    assert "Seconds" in documented()[kind.bound]


def test_the_page_has_the_table_of_the_code() -> None:
    page = (ROOT / "docs" / "alarms.md").read_text(encoding="utf-8")
    assert page == write_alarm_table.Command().page(), "run manage.py write_alarm_table"


def test_everybody_is_told_what_to_do() -> None:
    assert all(kind.means.endswith((".", ").")) and kind.do.endswith(".") for kind in ALARM_KINDS.values())
