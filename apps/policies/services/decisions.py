"""Decisions on record."""

from datetime import datetime

from apps.common import canonical
from apps.common.inserts import store
from apps.policies.models import Decision
from apps.policies.rules import EVALUATOR_VERSION, inputs_bytes, results_bytes
from apps.policies.types import Ask, Evaluation, Facts, Gate, VersionRules


def record(
    *,
    gate: Gate,
    subject: str,
    version: VersionRules | None,
    ask: Ask,
    facts: Facts,
    evaluation: Evaluation,
    now: datetime,
) -> Decision:
    """Keep what `evaluate(version, ask, facts, now)` said, as `made`."""
    decision = made(gate=gate, subject=subject, version=version, ask=ask, facts=facts, evaluation=evaluation, now=now)
    store(decision)
    return decision


def made(
    *,
    gate: Gate,
    subject: str,
    version: VersionRules | None,
    ask: Ask,
    facts: Facts,
    evaluation: Evaluation,
    now: datetime,
) -> Decision:
    """What `evaluate(version, ask, facts, now)` said, with all it went by, so that it can be replayed; to be stored by
    the caller.

    The arguments must be those the evaluation was made of. Raises TypeError or ValueError for facts that are no
    canonical texts: a decision that cannot be kept is not made.
    """
    inputs = inputs_bytes(
        version=version,
        ask=ask,
        facts=facts,
        now=now,
        approval_may_be_waived=evaluation.approval_may_be_waived,
    )
    return Decision(
        gate=gate.value,
        subject=subject,
        version_id=None if version is None else version.version_id,
        inputs=inputs,
        inputs_digest=canonical.digest(inputs),
        outcome=evaluation.outcome.value,
        results=results_bytes(evaluation),
        evaluator_version=EVALUATOR_VERSION,
        decided_at=now,
    )
