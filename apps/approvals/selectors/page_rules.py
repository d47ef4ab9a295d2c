"""What policy says of a proposal now, written out: the rules tightest first, and the limits before and after."""

from dataclasses import replace
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal, InvalidOperation
from typing import Final

from apps.approvals.selectors.page_values import Change, RuleRow, Rules, Tile
from apps.common import words
from apps.connectors.types import Side
from apps.policies.rules import title_of_line
from apps.policies.types import Evaluation, FactKind, Facts, LineVerdict, ReasonCode, RuleKind, RuleLine, Verdict
from apps.trades.types import Terms

NEAR: Final = Decimal("0.85")
_HUNDRED: Final = Decimal(100)
_FOLDED: Final = {
    RuleKind.ALLOWED_INSTRUMENT: "instrument allowed",
    RuleKind.RESTRICTED_LIST: "not restricted",
    RuleKind.ALLOWED_ORDER_TYPES: "order type allowed",
    RuleKind.TRADING_STATE: "trading ACTIVE",
    RuleKind.DUPLICATE: "not asked before",
    RuleKind.ORDER_RATE: "not asked too often",
}
_OPERATORS: Final = {
    "<": "below",
    "<=": "at most",
    ">=": "at least",
    "in": "one of",
    "not in": "none of",
    "=": "must be",
}
_TICKING: Final = frozenset({RuleKind.STALE_QUOTE, RuleKind.ORDER_RATE, RuleKind.DUPLICATE})


def number(text: str | None) -> Decimal | None:
    """A number of a rule line, None where the line has no number there."""
    try:
        value = Decimal(text) if text else None
    except InvalidOperation:
        return None
    return value if value is not None and value.is_finite() else None


def amount(text: str, unit: str, *, with_unit: bool = True, rounding: str = ROUND_CEILING) -> str:
    """`3,214.60 USD`, `0.23 BTC`, `10.6 bps`, `0.4 s`; a word stays a word. Rounded up unless told otherwise: what is
    used never reads as less, and `ROUND_FLOOR` is for what is left."""
    value = number(text)
    if value is None:
        return text or "not known"
    if unit == "bps":
        shown = words.signed(value) if value < 0 else words.grouped(value, places=1)
    elif unit == "s":
        shown = words.grouped(value, places=1)
    elif unit in {"USD", "EUR", "GBP", "USDC", "USDT"}:
        shown = words.grouped(value, places=2, rounding=rounding)
    else:
        shown = words.grouped(value)
    return f"{shown} {unit}" if with_unit and unit else shown


def used_percent(line: RuleLine) -> Decimal | None:
    """How much of the limit is used, in percent; None where that means nothing."""
    used = number(line.used_fraction)
    return None if used is None else used * _HUNDRED


def bar_width(percent: Decimal) -> str:
    """A length of a bar: 0 to 100 with one digit, as text."""
    return str(min(max(percent, Decimal(0)), _HUNDRED).quantize(Decimal("0.1")).normalize() + 0)


def name_of(line: RuleLine, terms: Terms) -> str:
    """What the rule measures, as policy itself says it; a position is one in something."""
    if line.kind == RuleKind.MAX_POSITION:
        return f"Position in {terms.instrument}"
    return title_of_line(line.rule, line.kind)


def at_a_price(line: RuleLine, terms: Terms) -> bool:
    """Whether the number of this line was computed at the price of the market: it is as old as that price."""
    if line.kind == RuleKind.MAX_POSITION:
        return line.unit != terms.base_currency
    if line.kind in {RuleKind.PRICE_COLLAR, RuleKind.MAX_GROSS_EXPOSURE, RuleKind.DAILY_LOSS}:
        return True
    sized = {RuleKind.MAX_ORDER_NOTIONAL, RuleKind.DAILY_NOTIONAL, RuleKind.FUNDS}
    return line.kind in sized and terms.limit_price is None and terms.quantity is not None


def doubted(line: RuleLine, terms: Terms, *, is_stale: bool) -> RuleLine:
    """The line as it may be shown: what was computed at an old price is not known."""
    if not is_stale or line.verdict is not LineVerdict.PASS or not at_a_price(line, terms):
        return line
    return line._replace(verdict=LineVerdict.ERROR, observed="", used_fraction=None, room_left=None)


def rules(evaluation: Evaluation, terms: Terms, *, note: str, is_now: bool, is_stale: bool = False) -> Rules:
    """Every rule: failing ones first, then by how much is used; the passing ones without a number in one sentence."""
    lines = [
        doubted(line, terms, is_stale=is_stale)
        for line in evaluation.lines
        if line.verdict is not LineVerdict.NOT_APPLICABLE
    ]
    judged = _once([line for line in lines if not _is_who(line)], terms)
    shown = [line for line in judged if not _folds(line)]
    shown.sort(key=_tightness)
    folded = [line for line in judged if _folds(line)]
    return Rules(
        title=_title(judged, is_now=is_now),
        note=f"Tightest first. {note}".strip(),
        rows=tuple(_row(line, terms) for line in shown),
        folded=_folded(folded, any_shown=bool(shown)),
        asks=_asks(evaluation) if is_now else "",
    )


def _once(lines: list[RuleLine], terms: Terms) -> list[RuleLine]:
    """A rule that says what a check says that always runs takes one line, not two, and counts once."""
    seen: dict[tuple[str, str, str, str], RuleLine] = {}
    for line in lines:
        seen.setdefault((name_of(line, terms), line.verdict, line.observed, line.limit), line)
    return list(seen.values())


def _is_who(line: RuleLine) -> bool:
    """A line about who must approve has its sentence below; why one more must is a line of the table."""
    return line.verdict is LineVerdict.REQUIRE and line.kind != RuleKind.SIMILAR_LOSSES


def _folds(line: RuleLine) -> bool:
    passes = line.verdict is LineVerdict.PASS and line.kind != RuleKind.SIMILAR_LOSSES
    ticking = line.kind in _TICKING and line.kind != RuleKind.STALE_QUOTE
    return passes and (number(line.limit) is None or ticking or not _known(line.kind))


def _tightness(line: RuleLine) -> tuple[int, Decimal]:
    severity = {LineVerdict.FAIL: 0, LineVerdict.ERROR: 1, LineVerdict.REQUIRE: 2}.get(line.verdict, 3)
    return severity, -(number(line.used_fraction) or Decimal(0))


def _title(lines: list[RuleLine], *, is_now: bool) -> str:
    failing = sum(line.verdict is LineVerdict.FAIL for line in lines)
    doubtful = sum(line.verdict is LineVerdict.ERROR for line in lines)
    if not lines:
        return "Policy: no rule applies, so nothing is allowed"
    asking = sum(line.verdict is LineVerdict.REQUIRE for line in lines)
    more = [f"{words.count(asking)} {'asks' if asking == 1 else 'ask'} for one more person"] if asking else []
    if not failing and not doubtful:
        passing = f"{len(lines) - asking} of {len(lines)} rules {'pass' if is_now else 'passed'}"
        return f"Policy: {', '.join([passing, *more])}"
    parts = []
    if failing:
        parts.append(f"{words.count(failing)} {_failing(failing, is_now)}")
    if doubtful:
        parts.append(f"{words.count(doubtful)} {'cannot' if is_now else 'could not'} be judged")
    return f"Policy: {', '.join([*parts, *more])}"


def _failing(count: int, is_now: bool) -> str:
    if not is_now:
        return "failed"
    return "fails now" if count == 1 else "fail now"


def _row(line: RuleLine, terms: Terms) -> RuleRow:
    percent = used_percent(line)
    is_near = percent is not None and percent >= NEAR * _HUNDRED and line.kind not in _TICKING
    kind, icon, verdict, bar = _verdict(line, is_near)
    width = percent if percent is not None else _HUNDRED if line.verdict is LineVerdict.FAIL else Decimal(0)
    return RuleRow(
        name=name_of(line, terms),
        key=line.rule,
        code=line.code,
        observed=amount(line.observed, line.unit, rounding=ROUND_FLOOR if line.operator == ">=" else ROUND_CEILING),
        operator=_OPERATORS.get(line.operator, line.operator),
        limit=amount(line.limit, line.unit, with_unit=False),
        room=_room(line),
        used=bar_width(width),
        bar_kind=bar,
        kind=kind,
        icon=icon,
        verdict=verdict,
        message=line.message,
    )


def _room(line: RuleLine) -> str:
    room = number(line.room_left)
    if room is None:
        return "not known" if line.verdict is LineVerdict.ERROR else ""
    return amount(str(room), line.unit, rounding=ROUND_FLOOR) if room > 0 else "none"


def _verdict(line: RuleLine, is_near: bool) -> tuple[str, str, str, str]:
    if line.verdict is LineVerdict.FAIL:
        return "stop", "stop", "Fails", "over"
    if line.verdict is LineVerdict.ERROR:
        return "unsure", "unsure", "Not known", "now"
    if line.verdict is LineVerdict.REQUIRE:
        return "warn", "warn", "One more asked", "warn"
    if line.code == ReasonCode.NO_COMPARABLE_TRADES:
        return "unsure", "unsure", "Nothing to compare", "now"
    if is_near:
        return "warn", "ok", "Pass, near", "warn"
    return "ok", "ok", "Pass", "now"


def _folded(lines: list[RuleLine], *, any_shown: bool) -> str:
    if not lines:
        return ""
    said = list(dict.fromkeys(_FOLDED.get(RuleKind(line.kind), line.kind) for line in lines if _known(line.kind)))
    others = len(lines) - sum(_known(line.kind) for line in lines)
    if others:
        said.append(f"{words.count(others)} check{'s' if others > 1 else ''} of the venue's own bounds")
    head = "The other" if any_shown else "All"
    tail = f"{words.count(len(lines))} pass too" if any_shown else f"{words.count(len(lines))} pass"
    if len(lines) == 1 and any_shown:
        return f"The other one passes too: {said[0]}."
    return f"{head} {tail}: {', '.join(said)}."


def _known(kind: str) -> bool:
    return kind in {item.value for item in RuleKind}


def _asks(evaluation: Evaluation) -> str:
    if evaluation.outcome is Verdict.DENY:
        remedy = f" {evaluation.remedy.sentence}" if evaluation.remedy else ""
        return f"As things stand policy denies this, and an approval would be refused.{remedy}"
    if evaluation.tier is None or not evaluation.tier.needed:
        return "Policy asks no person about this."
    roles, needed = words.listed(list(evaluation.tier.roles), word="or"), evaluation.tier.needed
    people = "One person" if needed == 1 else f"{words.count(needed).capitalize()} people"
    shown = ", with a second factor" if evaluation.tier.second_factor else ""
    shown += ", each saying what is different this time" if evaluation.tier.difference else ""
    return f"{people} must approve{shown}: {roles}. The price may move {evaluation.tier.drift_bps:f} bps until then."


def tightest(evaluation: Evaluation) -> RuleLine | None:
    """The limit this order leaves the least room under; what only ticks with time is not a limit of it."""
    lines = [
        line
        for line in evaluation.lines
        if used_percent(line) is not None
        and line.kind not in _TICKING
        and line.kind != RuleKind.MIN_NOTIONAL
        and line.verdict in {LineVerdict.PASS, LineVerdict.FAIL}
    ]
    return max(lines, key=lambda line: number(line.used_fraction) or Decimal(0), default=None)


def tight_tile(evaluation: Evaluation, terms: Terms, changes: tuple[Change, ...], *, is_stale: bool) -> Tile:
    """Which limit gets tight, or that none is known."""
    question = "What gets tight?"
    line = tightest(evaluation)
    if line is not None and is_stale and at_a_price(line, terms):
        note = f"{name_of(line, terms)} is computed at a price that is old."
        return Tile(key="tight", question=question, answer="Not known", icon="unsure", kind="stale", note=note)
    percent = used_percent(line) if line is not None else None
    if line is None or percent is None:
        note = "No rule of this policy measures this order against a limit."
        return Tile(key="tight", question=question, answer="Not known", icon="unsure", note=note, bar_label="")
    name = name_of(line, terms)
    over, near = line.verdict is LineVerdict.FAIL, percent >= NEAR * _HUNDRED
    change = next((item for item in changes if item.name == name), None)
    room = number(line.room_left)
    left = (
        f"Room for {amount(str(room), line.unit, rounding=ROUND_FLOOR)} more."
        if room is not None and room > 0
        else "No room left."
    )
    return Tile(
        key="tight",
        question=question,
        answer=words.percent(percent / _HUNDRED),
        unit="of limit",
        icon="stop" if over else "warn" if near else "ok",
        kind="warn" if over or near else "",
        now=change.now if change else bar_width(percent),
        add=change.add if change else "0",
        bar_kind="over" if over else "",
        bar_label=f"{name}: {words.percent(percent / _HUNDRED)} of its limit with this order",
        note=f"{name}: {amount(line.observed, line.unit)} of {amount(line.limit, line.unit)}. {left}",
    )


def changes(
    evaluation: Evaluation, terms: Terms, facts: Facts, *, quantity: Decimal | None, is_stale: bool = False
) -> tuple[Change, ...]:
    """The limits that count what is held and traded, before and after this order, tightest first.

    `quantity`: the base quantity that changes hands at most.
    """
    found: list[tuple[Decimal, Change]] = []
    for line in evaluation.lines:
        after, limit = number(line.observed), number(line.limit)
        if after is None or limit is None or limit <= 0 or line.verdict not in {LineVerdict.PASS, LineVerdict.FAIL}:
            continue
        before_after = _before_after(line, terms, evaluation, facts, quantity, after, limit)
        if before_after is not None:
            change = _change(line, terms, *before_after, limit)
            old = is_stale and at_a_price(line, terms)
            found.append((max(before_after) / limit, replace(change, is_stale=old)))
    return tuple(change for _, change in sorted(found, key=lambda pair: -pair[0]))


def _before_after(
    line: RuleLine,
    terms: Terms,
    evaluation: Evaluation,
    facts: Facts,
    quantity: Decimal | None,
    after: Decimal,
    limit: Decimal,
) -> tuple[Decimal, Decimal] | None:
    buys = terms.side is Side.BUY
    if line.kind == RuleKind.DAILY_NOTIONAL and evaluation.notional is not None:
        return after - evaluation.notional, after
    if line.kind not in {RuleKind.MAX_POSITION, RuleKind.MAX_GROSS_EXPOSURE}:
        return None
    worth = quantity if line.unit == terms.base_currency else evaluation.notional
    if worth is None:
        return None
    if buys:
        return after - worth, after
    if line.kind == RuleKind.MAX_POSITION and line.unit == terms.base_currency:
        held = _held(facts)
        return None if held is None else (held, max(held - worth, Decimal(0)))
    return after, max(after - worth, Decimal(0))


def _held(facts: Facts) -> Decimal | None:
    for key, fact in facts.items():
        if key.startswith(f"{FactKind.POSITION}:"):
            return number(fact.values.get("quantity"))
    return None


def _change(line: RuleLine, terms: Terms, before: Decimal, after: Decimal, limit: Decimal) -> Change:
    now, then = before / limit * _HUNDRED, after / limit * _HUNDRED
    room = limit - after
    return Change(
        name=name_of(line, terms),
        sub=f"limit {amount(str(limit), line.unit)}",
        before=amount(str(before), line.unit, with_unit=False),
        after=amount(str(after), line.unit),
        now=bar_width(min(now, then)),
        add=bar_width(max(then - now, Decimal(0))),
        used=words.percent(after / limit),
        left=f"{amount(str(room), line.unit, with_unit=False, rounding=ROUND_FLOOR)} left"
        if room > 0
        else "no room left",
    )
