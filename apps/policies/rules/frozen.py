"""Decisions as bytes: what went in, what came out, and the one from the other again."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal

from apps.common.canonical import Encoded, decode, encode, encoded
from apps.common.decimals import parse_decimal, parse_instant
from apps.policies.rules.compiled import rules_value
from apps.policies.rules.evaluate import evaluate
from apps.policies.rules.wording import lines_text
from apps.policies.types import Ask, Evaluation, Fact, Facts, RuleRow, VersionRules

# Raised whenever the same inputs may give other results: decisions of another number are not compared.
EVALUATOR_VERSION = 3
INPUTS_SCHEMA = "aika.decision-inputs/1"
RESULTS_SCHEMA = "aika.decision/1"

_ASK_DECIMALS = ("quantity", "quote_quantity", "limit_price", "stop_price")
_ASK_TEXTS = (
    "connection",
    "environment",
    "instrument",
    "base_currency",
    "quote_currency",
    "reporting_currency",
    "side",
    "order_type",
    "time_in_force",
    "proposer",
)


def inputs_bytes(
    *, version: VersionRules | None, ask: Ask, facts: Facts, now: datetime, approval_may_be_waived: bool
) -> bytes:
    """Everything an evaluation depends on, as canonical bytes."""
    return encode(
        INPUTS_SCHEMA,
        {
            "version": None if version is None else _version_text(version),
            "ask": {name: getattr(ask, name) for name in (*_ASK_TEXTS, *_ASK_DECIMALS, "post_only")},
            "facts": {key: {"values": fact.values, "as_of": fact.as_of} for key, fact in facts.items()},
            "now": now,
            "approval_may_be_waived": approval_may_be_waived,
        },
    )


def results_bytes(evaluation: Evaluation) -> bytes:
    """The whole answer, every line worded, as canonical bytes."""
    tier, remedy = evaluation.tier, evaluation.remedy
    return encode(
        RESULTS_SCHEMA,
        {
            "evaluator_version": EVALUATOR_VERSION,
            "outcome": evaluation.outcome,
            "lines": lines_text(evaluation.lines),
            "tier": None
            if tier is None
            else {
                "needed": tier.needed,
                "roles": tier.roles,
                "drift_bps": tier.drift_bps,
                "quote_age_s": tier.quote_age_s,
                # Only where it is asked for: what was decided before there was such a thing replays byte for byte.
                **({"second_factor": True} if tier.second_factor else {}),
                **({"difference": True} if tier.difference else {}),
            },
            "remedy": None
            if remedy is None
            else {
                "field": remedy.field,
                "value": remedy.value,
                "bound": remedy.bound,
                "sentence": remedy.sentence,
            },
            "codes": evaluation.codes,
            "notional": evaluation.notional,
            "worst_price": evaluation.worst_price,
        },
    )


def replay(inputs: bytes) -> Evaluation:
    """The evaluation that these inputs give now. Raises ValueError for bytes `inputs_bytes` cannot have written."""
    try:
        value = decode(inputs)
        if value["schema"] != INPUTS_SCHEMA:
            raise ValueError("These bytes are no inputs of a decision.")
        waived = value["approval_may_be_waived"]
        if not isinstance(waived, bool):
            raise ValueError("approval_may_be_waived must be a boolean.")
        return evaluate(
            _version(value["version"]),
            _ask(_mapping(value["ask"])),
            _facts(_mapping(value["facts"])),
            parse_instant(value["now"], field="now"),
            approval_may_be_waived=waived,
        )
    except KeyError as missing:
        raise ValueError(f"These inputs lack {missing}.") from None


_VERSIONS_MAX = 64
_texts: dict[str, tuple[VersionRules, Encoded]] = {}


def _version_text(version: VersionRules) -> Encoded:
    """The version in canonical text, from memory where it is the very same."""
    found = _texts.get(version.version_id)
    if found is not None and found[0] is version:
        return found[1]
    text = encoded(_version_value(version))
    if len(_texts) >= _VERSIONS_MAX:
        _texts.clear()
    _texts[version.version_id] = version, text
    return text


def _version_value(version: VersionRules) -> Mapping[str, object]:
    return {
        "id": version.version_id,
        "set": version.set_slug,
        "number": version.number,
        "digest": version.digest,
        "rules": rules_value(version.rules),
    }


def _version(value: object) -> VersionRules | None:
    if value is None:
        return None
    found = _mapping(value)
    rules, number = found["rules"], found["number"]
    if not isinstance(rules, list) or not isinstance(number, int):
        raise ValueError("A version has a number and a list of rules.")
    return VersionRules(
        str(found["id"]),
        str(found["set"]),
        number,
        str(found["digest"]),
        tuple(_rule(_mapping(rule)) for rule in rules),
    )


def _rule(value: Mapping[str, object]) -> RuleRow:
    return RuleRow(
        str(value["key"]),
        str(value["kind"]),
        _mapping(value["params"]),
        _text_or_none(value["connection"]),
        _text_or_none(value["instrument"]),
        _text_or_none(value["side"]),
        _text_or_none(value["proposer"]),
    )


def _ask(value: Mapping[str, object]) -> Ask:
    text = {name: str(value[name]) for name in _ASK_TEXTS}
    return Ask(
        connection=text["connection"],
        environment=text["environment"],
        instrument=text["instrument"],
        base_currency=text["base_currency"],
        quote_currency=text["quote_currency"],
        reporting_currency=text["reporting_currency"],
        side=text["side"],
        order_type=text["order_type"],
        time_in_force=text["time_in_force"],
        proposer=text["proposer"],
        quantity=_decimal_or_none(value, "quantity"),
        quote_quantity=_decimal_or_none(value, "quote_quantity"),
        limit_price=_decimal_or_none(value, "limit_price"),
        stop_price=_decimal_or_none(value, "stop_price"),
        post_only=value["post_only"] is True,
    )


def _decimal_or_none(value: Mapping[str, object], name: str) -> Decimal | None:
    return None if value[name] is None else parse_decimal(value[name], field=name, integer_digits=100, places=100)


def _facts(value: Mapping[str, object]) -> Facts:
    found: dict[str, Fact] = {}
    for key, item in value.items():
        fact = _mapping(item)
        values = {name: str(text) for name, text in _mapping(fact["values"]).items()}
        found[key] = Fact(values, parse_instant(fact["as_of"], field=key))
    return found


def _mapping(value: object) -> Mapping[str, object]:
    if not isinstance(value, dict):
        raise ValueError("An object was due.")
    return value


def _text_or_none(value: object) -> str | None:
    return None if value is None else str(value)
