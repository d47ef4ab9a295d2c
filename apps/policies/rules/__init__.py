"""Policy as pure functions: no database, no clock, no framework."""

from apps.policies.rules.compiled import rules_digest
from apps.policies.rules.evaluate import evaluate, facts_needed
from apps.policies.rules.frozen import EVALUATOR_VERSION, inputs_bytes, replay, results_bytes
from apps.policies.rules.kinds import KINDS, build, title_of
from apps.policies.rules.loosening import loosenings, loosens
from apps.policies.rules.reading import READ_ONLY_AT
from apps.policies.rules.reference import reason_codes_page
from apps.policies.rules.standing import Standing, standing_denials
from apps.policies.rules.watching import Reached, loss_facts_needed, losses_reached
from apps.policies.rules.wording import title_of_line

__all__ = [
    "EVALUATOR_VERSION",
    "KINDS",
    "READ_ONLY_AT",
    "Reached",
    "Standing",
    "build",
    "evaluate",
    "facts_needed",
    "inputs_bytes",
    "loss_facts_needed",
    "loosenings",
    "loosens",
    "losses_reached",
    "reason_codes_page",
    "replay",
    "results_bytes",
    "rules_digest",
    "standing_denials",
    "title_of",
    "title_of_line",
]
