"""Whether an approval still carries its order, asked once more before the order may leave."""

from datetime import datetime
from uuid import UUID

from apps.accounts.selectors import is_active_in_roles
from apps.common import canonical
from apps.common.errors import AikaError
from apps.connectors.services import venue
from apps.policies.types import Tier, Verdict
from apps.trades.models import Authority, Order, Proposal
from apps.trades.rules.drift import drift_bps
from apps.trades.rules.terms import client_order_id, order_request, read_terms
from apps.trades.selectors import desk_of_one
from apps.trades.services import seal
from apps.trades.services.approval import Judgement
from apps.trades.services.proposals import columns_of
from apps.trades.types import ProposalState, Terms


class Unfounded(Exception):
    """Why an approval does not carry its order any more."""

    def __init__(self, code: str, reason: str) -> None:
        super().__init__(code)
        self.code = code
        self.reason = reason


def check_rows(proposal: Proposal, order: Order, authority: Authority, *, now: datetime) -> None:
    """What needs no fresh facts: state, time, content and people. Raises Unfounded."""
    if order.cancel_requested_at is not None:
        raise Unfounded("CANCEL_REQUESTED", f"{order.cancel_requested_by} asked to cancel it before it could leave.")
    if proposal.state != ProposalState.APPROVED:
        raise Unfounded("NOT_APPROVED", "The proposal is not approved.")
    if now >= authority.valid_until:
        raise Unfounded("AUTHORITY_EXPIRED", "The approval ran out before the order could leave.")
    _check_content(proposal, order, authority)
    _check_approvers(proposal, authority)


def check_judgement(authority: Authority, judgement: Judgement) -> None:
    """What policy and the market say now. Raises Unfounded."""
    if not judgement.connection.is_active:
        raise Unfounded("CONNECTION_INACTIVE", "The connection has been deactivated.")
    if judgement.version is None or str(judgement.version.version_id) != str(authority.policy_version_id):
        raise Unfounded("POLICY_CHANGED", "Another policy is active than the one it was approved under.")
    if judgement.evaluation.outcome is Verdict.DENY:
        codes = ", ".join(judgement.evaluation.codes)
        raise Unfounded("POLICY_DENIES", f"Policy denies it now: {codes}.")
    tier, quote = judgement.evaluation.tier, judgement.quote
    if (
        tier is None
        or quote is None
        or tier.needed > len(set(authority.approvers))
        or set(tier.roles) != set(authority.roles)
        or _asks_more_of_each(tier, authority)
    ):
        raise Unfounded("TIER_CHANGED", "It would need other approvals now.")
    drift = abs(drift_bps(authority.reference_mid, quote.mid))
    if drift > tier.drift_bps:
        raise Unfounded(
            "DRIFTED", f"The price moved {drift:.1f} bps since it was approved, and {tier.drift_bps} may pass."
        )


def _asks_more_of_each(tier: Tier, authority: Authority) -> bool:
    """Whether each approver would have to show their second factor, or write what is different, and was not asked to
    when it was approved."""
    if not (tier.second_factor or tier.difference):
        return False
    asked = canonical.decode(bytes(authority.decision.results))["tier"]
    known = asked if isinstance(asked, dict) else {}
    return (tier.second_factor and known.get("second_factor") is not True) or (
        tier.difference and known.get("difference") is not True
    )


def _check_content(proposal: Proposal, order: Order, authority: Authority) -> None:
    """What was approved, what is stored and what would be sent are the same bytes."""
    changed = Unfounded("CONTENT_CHANGED", "The stored order is not, byte for byte, the one that was approved.")
    digests = {authority.digest, proposal.digest, canonical.digest(bytes(proposal.terms))}
    if len(digests) != 1 or order.authority_id != authority.pk or authority.proposal_id != proposal.pk:
        raise changed
    try:
        terms = read_terms(bytes(proposal.terms))
        own_id = client_order_id(environment=terms.environment, proposal_id=proposal.pk, attempt=order.attempt)
        body = venue.order_body(terms.venue, order_request(terms, own_id))
    except (AikaError, ValueError, KeyError) as error:
        raise changed from error
    requests = {authority.request_digest, order.request_digest, proposal.request_digest, canonical.digest(body)}
    bodies = {bytes(proposal.request_body), bytes(order.request_body), body}
    if len(requests) != 1 or len(bodies) != 1 or not {order.client_order_id, proposal.client_order_id} == {own_id}:
        raise changed
    if _columns_differ(proposal, order, terms):
        raise Unfounded("CONTENT_CHANGED", "The stored rows say something else than the frozen terms.")
    if seal.seal_of(proposal, authority, order) != seal.approved_seal(proposal.pk):
        raise Unfounded("CONTENT_CHANGED", "A stored row is not as it was when it was approved.")


def _columns_differ(proposal: Proposal, order: Order, terms: Terms) -> bool:
    if any(getattr(proposal, name) != value for name, value in columns_of(terms).items()):
        return True
    asked = (terms.connection_id, terms.instrument, terms.side.value)
    return (order.connection_id, order.instrument, order.side) != asked or proposal.connection_id != asked[0]


def _check_approvers(proposal: Proposal, authority: Authority) -> None:
    counted = {UUID(person) for person in authority.approvers}
    if proposal.proposer_id in counted and not desk_of_one.is_decided_alone(proposal):
        counted.remove(proposal.proposer_id)
    if sum(is_active_in_roles(person, authority.roles) for person in counted) < authority.needed:
        raise Unfounded("APPROVER_GONE", "Somebody who approved it is no longer active, or no longer in the role.")
