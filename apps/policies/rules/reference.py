"""The reference page of policy, written from the enums so that it cannot drift."""

from apps.policies.rules.kinds import KINDS
from apps.policies.types import ReasonCode

_HEAD = """# Reason codes and rules

Written by `manage.py write_reason_codes`; a test compares it with the code. Every line of a decision carries one of
these codes. Codes are never renamed.

| code | meaning |
|---|---|
"""
_RULES = """
## Rules

Parameters are JSON; numbers stand in quotes. A rule may be scoped to a connection, an instrument, a side and a
proposer; an empty scope means any. Every rule in scope is consulted, and the most severe answer wins.

| kind | what it measures | parameter | meaning |
|---|---|---|---|
"""


def reason_codes_page() -> str:
    """docs/reason-codes.md as it must be."""
    codes = "".join(f"| `{code}` | {code.sentence} |\n" for code in sorted(ReasonCode))
    rules = ""
    for name, kind in KINDS.items():
        params = kind.params.items() or [("", "takes none")]
        for position, (param, meaning) in enumerate(params):
            first = (f"`{name}`", kind.title) if position == 0 else ("", "")
            shown = f"`{param}`" if param else ""
            rules += f"| {first[0]} | {first[1]} | {shown} | {meaning} |\n"
    return _HEAD + codes + _RULES + rules
