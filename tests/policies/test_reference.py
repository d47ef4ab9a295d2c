"""The reference page says what the code says; every kind's example is valid."""

from pathlib import Path

import pytest
from django.conf import settings

from apps.policies.rules import KINDS, build, reason_codes_page
from apps.policies.types import ReasonCode, RuleKind, RuleRow


def test_the_page_is_as_the_code_is() -> None:
    page = Path(settings.BASE_DIR) / "docs" / "reason-codes.md"
    assert page.read_text(encoding="utf-8") == reason_codes_page(), "Run manage.py write_reason_codes."


@pytest.mark.parametrize("kind", RuleKind)
def test_every_kind_has_an_example_that_can_be_read(kind: RuleKind) -> None:
    build(RuleRow("r", kind, KINDS[kind].example))
    assert set(KINDS[kind].example) <= set(KINDS[kind].params)


@pytest.mark.parametrize("code", ReasonCode)
def test_every_code_has_a_sentence(code: ReasonCode) -> None:
    assert code.sentence.endswith(".")
