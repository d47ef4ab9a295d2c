"""Past trades as lines of a CSV file. Pure: a line becomes a report, or what is wrong with it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from apps.common.decimals import parse_decimal, parse_instant
from apps.common.errors import Invalid
from apps.connectors.types import Environment, Side
from apps.lessons.rules.detectors import TOLD
from apps.trades.rules import reports
from apps.trades.rules.narratives import RATIONALE_CHARS_MAX, SETUP_CHARS_MAX, TAG_CHARS_MAX, TAGS_MAX
from apps.trades.types import Report

NEEDED: Final = ("id", "instrument", "side", "quantity", "entry_price", "exit_price", "closed_at")
TEXTS: Final[Mapping[str, int]] = {
    "asset_class": 20,
    "quote_currency": 12,
    "thesis": RATIONALE_CHARS_MAX,
    "setup": SETUP_CHARS_MAX,
    "exit_reason": 80,
    "notes": RATIONALE_CHARS_MAX,
}
DECIMALS: Final = ("quantity", "entry_price", "exit_price", "fees", "pnl", "pnl_pct", "planned_stop", "planned_target")
COLUMNS: Final = (
    *NEEDED,
    "opened_at",
    "environment",
    "fees",
    "pnl",
    "pnl_pct",
    "planned_stop",
    "planned_target",
    *TEXTS,
    "tags",
)
FACT_PREFIX: Final = "fact."
FACT_COLUMNS: Final = tuple(f"{FACT_PREFIX}{one.name}" for one in TOLD)
ID_CHARS_MAX: Final = 80
_CODE_CHARS_MAX: Final = 40


def check_columns(names: Sequence[str]) -> None:
    """Raises Invalid CSV_COLUMNS where one is missing, twice, or none that is known."""
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS and name not in FACT_COLUMNS]
    twice = sorted({name for name in names if names.count(name) > 1})
    problems = [
        f"{word}: {', '.join(found)}"
        for word, found in (("missing", missing), ("not known", unknown), ("twice", twice))
        if found
    ]
    if problems:
        raise Invalid(
            "CSV_COLUMNS",
            f"The first line does not name the columns ({'; '.join(problems)}).",
            fix=f"Needed: {', '.join(NEEDED)}. Known besides: {', '.join(COLUMNS[len(NEEDED) :])}, and "
            f"{', '.join(FACT_COLUMNS)}.",
        )


def read_line(line: Mapping[str, str], *, now: datetime) -> tuple[str, Report]:
    """The id of a line and its trade. Raises Invalid, as a report of the API would."""
    given = {name: text.strip() for name, text in line.items() if text.strip()}
    for name in NEEDED:
        if name not in given:
            raise Invalid("FIELD_MISSING", f"{name} is empty.", fix=f"Fill in {name}.", field=name)
    trade_id = _text(given, "id", ID_CHARS_MAX)
    side, environment = given["side"].upper(), given.get("environment", Environment.LIVE.value)
    if side not in {one.value for one in Side}:
        raise Invalid("CHOICE_UNKNOWN", "side must be BUY or SELL.", fix="Write the side of the entry.", field="side")
    if environment not in {one.value for one in Environment}:
        raise Invalid("CHOICE_UNKNOWN", "environment must be live or paper.", fix="Write one.", field="environment")
    numbers = {name: parse_decimal(given[name], field=name) for name in DECIMALS if name in given}
    times = {name: parse_instant(given[name], field=name) for name in ("opened_at", "closed_at") if name in given}
    facts = {
        name.removeprefix(FACT_PREFIX): parse_decimal(given[name], field=name) for name in FACT_COLUMNS if name in given
    }
    report = Report(
        trade_id=trade_id,
        instrument=_text(given, "instrument", _CODE_CHARS_MAX),
        side=Side(side),
        environment=Environment(environment),
        tags=_tags(given.get("tags", "")),
        facts=facts,
        **{name: _text(given, name, chars) for name, chars in TEXTS.items() if name in given},  # type: ignore[arg-type]
        **numbers,  # type: ignore[arg-type]
        **times,  # type: ignore[arg-type]
    )
    reports.check(report, now=now)
    return trade_id, report


def _text(given: Mapping[str, str], name: str, chars: int) -> str:
    text = given[name]
    if len(text) > chars:
        raise Invalid("TEXT_TOO_LONG", f"{name} has more than {chars} characters.", fix="Shorten it.", field=name)
    if "\x00" in text:
        raise Invalid("TEXT_WITH_NUL", f"{name} holds a NUL character.", fix="Remove it.", field=name)
    return text


def _tags(text: str) -> tuple[str, ...]:
    tags = tuple(dict.fromkeys(tag.strip() for tag in text.split(";") if tag.strip()))
    if len(tags) > TAGS_MAX or any(len(tag) > TAG_CHARS_MAX for tag in tags):
        raise Invalid(
            "TAGS_OUT_OF_RANGE", f"At most {TAGS_MAX} tags of {TAG_CHARS_MAX} characters.", fix="Use ;", field="tags"
        )
    return tags
