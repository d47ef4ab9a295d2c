"""What went into a decision, as bytes and back: nothing is turned round on the way, and other bytes are refused."""

import json
from collections.abc import Mapping
from typing import Any

import pytest

from apps.policies.rules import compiled, frozen, inputs_bytes, replay
from apps.policies.types import Ask, VersionRules
from tests.policies.cases import ALL_KINDS, APPROVALS, NOTIONAL, NOW, ask, facts, version

POLICY = version(APPROVALS, NOTIONAL)


def inputs(policy: VersionRules = POLICY, of: Ask | None = None) -> bytes:
    of = of or ask()
    return inputs_bytes(version=policy, ask=of, facts=facts(of, policy), now=NOW, approval_may_be_waived=False)


@pytest.mark.parametrize("post_only", [True, False])
def test_what_was_asked_is_read_back_as_it_was(post_only: bool) -> None:
    asked = ask(post_only=post_only)
    assert frozen._ask(json.loads(inputs(of=asked))["ask"]) == asked


@pytest.mark.parametrize("change", [{"rules": "none"}, {"number": "1"}, {"rules": {}, "number": None}])
def test_a_version_without_a_number_or_a_list_of_rules_is_refused(change: Mapping[str, Any]) -> None:
    assert replay(inputs()).lines
    value = json.loads(inputs())
    value["version"] |= change
    with pytest.raises(ValueError, match="a number and a list of rules"):
        replay(json.dumps(value).encode())


def test_so_many_versions_are_kept_and_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    for module, kept in ((frozen, "_texts"), (compiled, "_cache")):
        monkeypatch.setattr(module, "_VERSIONS_MAX", 2)
        monkeypatch.setattr(module, kept, {})
    sizes = []
    for row in ALL_KINDS[:5]:
        policy = version(row)
        frozen._version_text(VersionRules(row.key, "desk", 1, policy.digest, policy.rules))
        compiled.compiled(policy)
        sizes.append((len(frozen._texts), len(compiled._cache)))
    assert sizes == [(1, 1), (2, 2), (1, 1), (2, 2), (1, 1)]
