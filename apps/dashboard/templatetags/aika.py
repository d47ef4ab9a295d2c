"""The parts of look.css as template tags: one place that knows how a chip, a bar or a side is written."""

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Final

from django import template
from django.http import HttpRequest
from django.template import Context
from django.utils import timezone
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString, mark_safe

from apps.common import words
from apps.common.decimals import decimal_text, instant_text
from apps.dashboard import selectors
from apps.dashboard.types import STATE_ICONS, Status, ToldRows, kind_of_work
from apps.quotes.selectors.feed import TOLD_MAX, feed_of, told_of

if TYPE_CHECKING:
    from apps.connectors.models import Connection

register = template.Library()

OLDEST_SHOWN: Final = 5

_STATES: dict[str, tuple[str, str, str]] = {
    "DENIED": ("stop", "stop", "Denied by policy"),
    "AWAITING_APPROVAL": ("", "wait", "Awaiting approval"),
    "DECLINED": ("", "x", "Declined"),
    "WITHDRAWN": ("", "x", "Withdrawn"),
    "APPROVED": ("go", "ok", "Approved"),
    "VOIDED": ("warn", "x", "Voided before sending"),
    "INITIALIZED": ("go", "wait", "About to be sent"),
    "SUBMITTED": ("go", "send", "Submitted"),
    "ACCEPTED": ("go", "wait", "Working at the venue"),
    "PARTIALLY_FILLED": ("go", "wait", "Part filled"),
    "CANCEL_REQUESTED": ("go", "wait", "Cancel requested"),
    "FILLED": ("ok", "ok", "Filled"),
    "CANCELED": ("", "x", "Canceled"),
    "EXPIRED": ("", "clock", "Expired"),
    "REJECTED": ("stop", "stop", "Rejected by the venue"),
    "UNKNOWN": ("unsure", "unsure", "Unknown, being looked up"),
    "ABANDONED": ("warn", "warn", "Abandoned by two people"),
}


@register.simple_tag
def icon(name: str, label: str = "", extra: str = "") -> SafeString:
    """An icon of the sprite; with `label` it speaks, without it is silent because a word stands beside it."""
    css = f"i {extra}".strip()
    if label:
        return format_html(
            '<svg class="{}" viewBox="0 0 24 24" role="img" aria-label="{}"><use href="#i-{}"/></svg>', css, label, name
        )
    return format_html('<svg class="{}" viewBox="0 0 24 24" aria-hidden="true"><use href="#i-{}"/></svg>', css, name)


@register.simple_tag
def chip(kind: str, icon_name: str, text: str) -> SafeString:
    """A state in one word with its icon. `kind`: ok, go, warn, stop, unsure or nothing."""
    css = f"chip chip-{kind}" if kind else "chip"
    return format_html('<span class="{}">{}{}</span>', css, icon(icon_name), text)


@register.filter
def state_chip(state: str) -> SafeString:
    """The chip of a proposal's or an order's state; a state unknown here is shown as it is, in violet."""
    return chip(*_STATES.get(str(state), ("unsure", "unsure", str(state))))


@register.filter
def trading_chip(state: str) -> SafeString:
    """The chip of a trading state, in its own word."""
    kind = {"ACTIVE": "ok", "REDUCING": "warn"}.get(str(state), "stop")
    return chip(kind, STATE_ICONS.get(str(state), "halt"), str(state))


@register.filter
def side(value: str) -> SafeString:
    """`Buy` or `Sell` with its sign in a circle."""
    buys = str(value) == "BUY"
    css, name, word = ("side-buy", "buy", "Buy") if buys else ("side-sell", "sell", "Sell")
    return format_html('<span class="side {}">{}{}</span>', css, icon(name), word)


@register.filter
def result(value: Decimal | None) -> SafeString:
    """A gain or loss, sign first, in its colour; what is not known says so."""
    if value is None:
        return mark_safe('<span class="quiet">not known</span>')
    css = "gain" if value > 0 else "loss" if value < 0 else "num"
    return format_html('<span class="{}">{}</span>', css, words.result(value))


@register.inclusion_tag("aika/bar.html")
def bar(now: str = "0", add: str = "0", kind: str = "", label: str = "", small: bool = False) -> dict[str, Any]:
    """A share of a limit: `now` and `add` in percent (text, 0 to 100); numbers stand in words beside it."""
    return {"now": now, "add": add, "kind": kind or "now", "label": label, "small": small}


@register.filter
def instant(value: datetime) -> str:
    """An instant for `data-` attributes and `<time>`: UTC, six digits."""
    return instant_text(value)


@register.filter
def plain(value: Decimal | None) -> str:
    """A number for scripts; empty where it is not known."""
    return "" if value is None else decimal_text(value)


@register.filter
def fall(fraction: Decimal) -> SafeString:
    """A fall as a loss, `−2.4 %`; rounded up, against us."""
    if not fraction:
        return mark_safe("none")
    return format_html('<span class="loss">{}{}</span>', words.MINUS, words.percent(fraction))


@register.filter
def in_words(value: int) -> str:
    """`no`, `three`: a count inside a sentence."""
    return words.count(value)


@register.filter
def money(value: Decimal | None) -> str:
    return "not known" if value is None else words.money(value)


@register.filter
def price(value: Decimal | None) -> str:
    return "not known" if value is None else words.price(value)


@register.filter
def quantity(value: Decimal | None) -> str:
    return "not known" if value is None else words.grouped(value)


@register.filter
def moment(value: datetime | None) -> str:
    return "not yet" if value is None else words.moment(value, timezone.now())


@register.filter
def inert(text: str) -> SafeString:
    """Foreign text that can do nothing: escaped, links broken, characters that steer unseen shown as `[U+202E]`."""
    pieces: list[SafeString] = []
    plain: list[str] = []
    for character in str(text).replace("\r\n", "\n"):
        if not words.is_hidden(character):
            plain.append(character)
            continue
        pieces.append(_broken_links("".join(plain)))
        plain = []
        pieces.append(format_html('<span class="ctl">{}</span>', words.bare_code(character)))
    pieces.append(_broken_links("".join(plain)))
    return mark_safe("".join(pieces))  # noqa: S308  every piece went through format_html


def _broken_links(text: str) -> SafeString:
    return format_html("{}", text.replace("https://", "hxxps://").replace("http://", "hxxp://"))


@register.filter
def with_code(text: str) -> SafeString:
    """The text with what stands between two backticks as code. For sentences of ours."""
    parts = text.split("`")
    marked = ((format_html("<code>{}</code>", part) if i % 2 else part) for i, part in enumerate(parts))
    return format_html_join("", "{}", ((part,) for part in marked))


@register.filter
def hidden_count(text: str) -> int:
    """How many characters of a foreign text steer it unseen."""
    return sum(words.is_hidden(character) for character in str(text).replace("\r\n", "\n"))


@register.filter
def digest_groups(digest: str) -> list[str]:
    """A digest in groups of eight, for people who compare the first and the last."""
    return [digest[start : start + 8] for start in range(0, len(digest), 8)]


@register.filter
def short_digest(digest: str) -> str:
    """`fc310b79…4edf4993`."""
    return f"{digest[:8]}\u2026{digest[-8:]}" if digest else ""


@register.simple_tag
def market_feed(connection: "Connection") -> tuple[tuple[str, str], ...]:
    """How the live prices of a connection come, as pairs of a name and words; nothing where they are only asked for."""
    now = timezone.now()
    state = feed_of(connection, now=now)
    if state is None:
        return ()
    since = "" if state.since is None else f", for {words.span(words.seconds_between(state.since, now))}"
    heard = "never" if state.heard_at is None else words.ago(state.heard_at, now)
    lag = "not known" if state.lag_ms is None else f"{words.grouped(Decimal(state.lag_ms), places=0)} ms"
    oldest = sorted(state.instruments.items(), key=lambda item: item[1])[:OLDEST_SHOWN]
    told = "; ".join(f"{code} {words.ago(at, now)}" for code, at in oldest)
    return (
        ("live feed", f"{state.state.value}{since}. {state.detail}"),
        ("last heard", f"{heard}; {words.count(state.messages_per_s)} messages a second"),
        ("newest price", f"came {lag} after its time by the venue's clock"),
        ("losses", f"{words.count(state.reconnects)}, of which {words.count(state.gaps)} by a gap"),
        ("told longest ago", told or "nothing yet"),
    )


@register.simple_tag
def market_told(connection: "Connection") -> ToldRows:
    """When a price of each of its instruments last came, the longest ago first, at most `TOLD_MAX` of them."""
    now = timezone.now()
    told = told_of(connection, feed_of(connection, now=now))
    rows = tuple(
        (one.instrument, "not yet" if one.heard_at is None else words.ago(one.heard_at, now)) for one in told[:TOLD_MAX]
    )
    silent = sum(one.heard_at is None for one in told)
    return ToldRows(rows=rows, silent=silent, left_out=max(len(told) - TOLD_MAX, 0))


@register.simple_tag(takes_context=True)
def desk_status(context: Context) -> Status:
    """The bar's facts for this request, gathered once. A page about one proposal names its environment itself."""
    request: HttpRequest | None = context.get("request")
    known: Status | None = getattr(request, "desk_status", None)
    if known is None:
        user = getattr(request, "user", None)
        known = selectors.status(user=user, now=timezone.now())
        if request is not None:
            vars(request)["desk_status"] = known
    environment = context.get("page_environment")
    return selectors.status_of_page(known, environment=environment)


@register.simple_tag(takes_context=True)
def desk_roles(context: Context) -> str:
    """`approver and risk`: the groups of the person who is signed in."""
    request: HttpRequest | None = context.get("request")
    return "" if request is None else selectors.role_words(request.user)


@register.filter
def state_word(state: str) -> str:
    """The word of a state, for a page's title."""
    return _STATES.get(str(state), ("", "", str(state)))[2]


@register.simple_tag(takes_context=True)
def desk_work(context: Context) -> str:
    """Which kind of work this page belongs to: what its view says, else that of the model it is about."""
    said = context.get("work")
    if said:
        return str(said)
    options = context.get("opts")
    return "" if options is None else kind_of_work(str(options.label_lower))
