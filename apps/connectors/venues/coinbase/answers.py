"""What the answer to a sent order proves. Everything it does not prove is an unknown outcome (controls.md 4.3)."""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

from apps.common.errors import Invalid
from apps.connectors.errors import AlreadyExists, Mismatch, Rejected
from apps.connectors.types import CancelResult, Placement, Side
from apps.connectors.venues.coinbase import wire
from apps.connectors.venues.coinbase.client import credentials_refused, rate_limited, unknown_outcome
from apps.connectors.venues.http import Reply

DUPLICATE = "DUPLICATE_CLIENT_ORDER_ID"
# In this order: `error` is deprecated, and any of them may be absent or say UNKNOWN_ while another names the reason.
_REASON_FIELDS = ("preview_failure_reason", "new_order_failure_reason", "error")
# Words by which a gateway says that it does not know itself. They refuse nothing, whatever `success` says.
_AMBIGUOUS = frozenset(
    {
        "INTERNAL",
        "INTERNAL_ERROR",
        "INTERNAL_SERVER_ERROR",
        "UNAVAILABLE",
        "DEADLINE_EXCEEDED",
        "ABORTED",
        "TIMEOUT",
        "DATA_LOSS",
        "UNKNOWN",
    }
)
# Answers to a cancel that say nothing bad: the order's own state tells.
_READ_THE_ORDER = frozenset({"DUPLICATE_CANCEL_REQUEST", "ORDER_IS_FULLY_FILLED"})
_NO_REASON = "UNKNOWN_CANCEL_FAILURE_REASON"


@dataclass(frozen=True, slots=True)
class Sent:
    """What our own bytes ask for."""

    client_order_id: str
    instrument: str
    side: str
    configuration: Mapping[str, object]

    @classmethod
    def of(cls, body: bytes) -> "Sent":
        """Raises Invalid ORDER_BODY_MALFORMED, before anything is sent, where these are not bytes of `order_body`."""
        try:
            row = wire.decode(body)
            configuration = wire.row_of(row.get("order_configuration"), "order_configuration")
            if len(configuration) != 1:
                raise wire.Malformed("not exactly one configuration")
            return cls(
                client_order_id=wire.text(row, "client_order_id"),
                instrument=wire.text(row, "product_id"),
                side=wire.text(row, "side"),
                configuration=configuration,
            )
        except wire.Malformed as error:
            raise Invalid("ORDER_BODY_MALFORMED", f"These bytes are no order: {error}. Nothing was sent.") from error


def placement_of(reply: Reply, sent: Sent) -> Placement:
    """The placement a create's answer proves.

    Raises Rejected, AlreadyExists, CredentialsRefused or RateLimited where the answer proves that no new order came of
    the request, Mismatch where it proves another order, and OutcomeUnknown for everything else.
    """
    if not (reply.status == 200 or reply.status == 201):
        raise _refused(reply, sent)
    try:
        row = wire.decode(reply.body)
        if row.get("success") is True:
            return _accepted(row, sent)
        if row.get("success") is False:
            raise _failed(row, sent)
    except wire.Malformed as error:
        raise unknown_outcome(f"status {reply.status}: {error}") from error
    raise unknown_outcome(f"status {reply.status} without success")


def _accepted(row: wire.Row, sent: Sent) -> Placement:
    answer = wire.row_of(row.get("success_response"), "success_response")
    side = wire.text(answer, "side")
    if side not in {Side.BUY, Side.SELL}:
        raise wire.Malformed("side is unknown")
    placement = Placement(
        venue_order_id=wire.text(answer, "order_id"),
        client_order_id=wire.text(answer, "client_order_id"),
        instrument=wire.text(answer, "product_id"),
        side=Side(side),
    )
    differences = {
        name: (asked, got)
        for name, asked, got in (
            ("client_order_id", sent.client_order_id, placement.client_order_id),
            ("instrument", sent.instrument, placement.instrument),
            ("side", sent.side, placement.side.value),
        )
        if asked != got
    }
    echoed = row.get("order_configuration")
    if echoed is not None:
        differences |= _configuration_differences(sent.configuration, wire.row_of(echoed, "order_configuration"))
    if differences:
        raise Mismatch(placement, differences)
    return placement


def _configuration_differences(asked: Mapping[str, object], echoed: Mapping[str, object]) -> dict[str, tuple[str, str]]:
    """Each term we sent that came back as something else. What the venue leaves out or adds proves nothing."""
    ((key, terms),) = asked.items()
    if not echoed:
        return {}
    if key not in echoed:
        return {"order_configuration": (key, ", ".join(sorted(echoed)))}
    wanted, got = wire.row_of(terms, key), wire.row_of(echoed[key], key)
    return {
        name: (str(value), str(got[name]))
        for name, value in wanted.items()
        if got.get(name) not in (None, "") and not _same(value, got[name])
    }


def _same(asked: object, got: object) -> bool:
    if asked == got or str(asked).lower() == str(got).lower():
        return True
    try:
        return Decimal(str(asked)) == Decimal(str(got))
    except InvalidOperation:
        pass
    try:
        instants = {"asked": asked, "got": got}
        return wire.instant_or_none(instants, "asked") == wire.instant_or_none(instants, "got")
    except wire.Malformed:
        return False


def _failed(row: wire.Row, sent: Sent) -> Exception:
    answer = wire.row_of(row.get("error_response"), "error_response")
    codes = [wire.text_or_empty(answer, name) for name in _REASON_FIELDS]
    message = wire.text_or_empty(answer, "message") or wire.text_or_empty(answer, "error_details")
    if DUPLICATE in codes:
        return AlreadyExists(sent.client_order_id, message)
    if _order_id_of(row):
        return unknown_outcome("success false, and yet an order id")
    reason = next((code for code in codes if code and not code.upper().startswith("UNKNOWN_")), "")
    if reason.upper() in _AMBIGUOUS or not (reason or message):
        return unknown_outcome(f"success false, reason {reason or 'none'}")
    return Rejected(reason or "UNKNOWN_FAILURE_REASON", message)


def _order_id_of(row: wire.Row) -> str:
    answer = row.get("success_response")
    within = wire.text_or_empty(answer, "order_id") if isinstance(answer, Mapping) else ""
    return within or wire.text_or_empty(row, "order_id")


def _refused(reply: Reply, sent: Sent) -> Exception:
    """Statuses documented as a refusal before acceptance, with a documented body; the rest proves nothing."""
    error = wire.api_error(reply.body)
    if reply.status == 401:
        return credentials_refused(reply.status, error)
    if reply.status == 400 and error is None:
        return _failed_with_400(reply, sent)
    if error is None:
        return unknown_outcome(f"status {reply.status}")
    if DUPLICATE in {error.code, error.message}:
        return AlreadyExists(sent.client_order_id, error.message)
    if reply.status == 403:
        return credentials_refused(reply.status, error)
    if reply.status == 429:
        return rate_limited()
    if reply.status == 400 and error.code.upper() not in _AMBIGUOUS:
        return Rejected(error.code, error.message)
    return unknown_outcome(f"status {reply.status}, {error.code}")


def _failed_with_400(reply: Reply, sent: Sent) -> Exception:
    try:
        row = wire.decode(reply.body)
        return _failed(row, sent) if row.get("success") is False else unknown_outcome("status 400")
    except wire.Malformed as error:
        return unknown_outcome(f"status 400: {error}")


def cancellations_of(reply: Reply, venue_order_ids: list[str]) -> tuple[CancelResult, ...]:
    """One result per id asked, in that order. Raises as `placement_of`, but never AlreadyExists or Mismatch."""
    if reply.status != 200:
        raise _refused(reply, Sent(client_order_id="", instrument="", side="", configuration={}))
    try:
        told = {wire.text_or_empty(row, "order_id"): row for row in wire.rows(wire.decode(reply.body), "results")}
        return tuple(_cancellation(identifier, told.get(identifier)) for identifier in venue_order_ids)
    except wire.Malformed as error:
        raise unknown_outcome(f"status {reply.status}: {error}") from error


def _cancellation(identifier: str, row: wire.Row | None) -> CancelResult:
    if row is None:
        return CancelResult(venue_order_id=identifier, requested=False, reason="NO_ANSWER", read_order=True)
    reason = wire.text_or_empty(row, "failure_reason")
    if wire.flag(row, "success"):
        return CancelResult(venue_order_id=identifier, requested=True)
    return CancelResult(
        venue_order_id=identifier,
        requested=False,
        reason=reason or _NO_REASON,
        read_order=reason in _READ_THE_ORDER,
    )
