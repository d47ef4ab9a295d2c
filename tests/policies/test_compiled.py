"""What is compiled is kept for the next ask, and only so much of it."""

from dataclasses import replace

import pytest

from apps.policies.rules import compiled
from tests.policies.cases import APPROVALS, NOTIONAL, ask, version

SCOPES_MAX = 2


def test_the_rules_of_a_scope_are_kept_and_of_so_many_scopes_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compiled, "_SCOPES_MAX", SCOPES_MAX)
    ready = compiled.compiled(version(APPROVALS, NOTIONAL))._replace(selections={})
    first = ready.select(ask(instrument="A-USD"))
    kept = []
    for instrument in ("A-USD", "B-USD", "C-USD", "D-USD", "E-USD"):
        ready.select(ask(instrument=instrument))
        kept.append(len(ready.selections))
        assert ready.select(ask(instrument=instrument)) is ready.select(ask(instrument=instrument))
    assert kept == [1, 2, 1, 2, 1]
    again = ready.select(ask(instrument="A-USD"))
    assert again == first


def test_equal_rules_are_compiled_once_and_other_rules_of_that_digest_again() -> None:
    one, equal = version(APPROVALS, NOTIONAL), version(APPROVALS, NOTIONAL)
    assert one.rules is not equal.rules
    ready = compiled.compiled(one)
    assert compiled.compiled(equal) is ready
    forged = compiled.compiled(replace(equal, rules=(APPROVALS,)))
    assert forged is not ready and len(forged.rules) < len(ready.rules)
