"""The decision page, its live numbers, and the verbs. Only POST changes anything, but for the record of what a person
was reminded of; each verb is one service call."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

from django.contrib import admin
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from apps.approvals.forms import VoteForm
from apps.approvals.selectors.page import Sign, decision_page
from apps.approvals.selectors.page_lessons import Recall
from apps.approvals.selectors.page_values import Callout, DecisionPage
from apps.approvals.services import challenges, decide, rating, signed_quotes
from apps.common.decimals import instant_text
from apps.common.errors import AikaError, Conflict, Denied, Forbidden, Invalid, NotFound
from apps.connectors.types import Quote
from apps.lessons.types import FeedbackVerdict
from apps.trades.services import recalling
from apps.trades.types import ProposalState

if TYPE_CHECKING:
    from apps.accounts.models import User
    from apps.trades.models import Proposal

_WRITTEN = ("comment", "difference")
_RACES = frozenset({"PROPOSAL_NOT_WAITING", "PROPOSAL_EXPIRED", "PROPOSAL_MOVED", "ALREADY_VOTED", "DRIFTED"})


@never_cache
@require_GET
def page(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """Everything a person needs to decide, on one page."""
    return _render(request, _page(request, proposal_id, recall=_recaller(request)))


@never_cache
@require_GET
def live(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """What moves on the page: price, age, tiles, the signed quote, and a version that names all that was decided."""
    shown = _page(request, proposal_id)
    price, off = shown.price, shown.ballot.off
    return JsonResponse(
        {
            "now": instant_text(shown.now),
            "version": shown.version,
            "state": shown.state,
            "is_open": shown.ballot.is_open,
            "seconds_left": shown.seconds_left,
            "approvals": shown.ballot.have,
            "needed": shown.ballot.needed,
            "order_state": shown.follow.state if shown.follow else None,
            "price": {
                "bid": price.bid,
                "ask": price.ask,
                "spread": price.spread,
                "received_at": instant_text(price.received_at) if price.received_at else None,
                "is_stale": price.is_stale,
                "signed": price.signed,
            },
            "off": {"code": off.code, "sentence": off.sentence, "help": off.help} if off else None,
            "consequence_lead": shown.ballot.consequence_lead,
            "consequence": shown.ballot.consequence,
            "gobar": shown.gobar,
            "tiles": [
                {
                    "key": tile.key,
                    "answer": tile.answer,
                    "unit": tile.unit,
                    "note": tile.note,
                    "icon": tile.icon,
                    "kind": tile.kind,
                    "now": tile.now,
                    "add": tile.add,
                    "bar_kind": tile.bar_kind,
                }
                for tile in shown.tiles
            ],
        }
    )


@never_cache
@require_POST
def approve(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """One approval. The person stays on the page, which goes on to what the order does."""

    def vote(form: VoteForm) -> object:
        return decide.approve(
            proposal_id=proposal_id,
            approver=_person(request),
            seen=form.seen(),
            comment=form.cleaned_data["comment"],
            now=timezone.now(),
            clock=timezone.now,
            proof=form.proof(),
            difference=form.cleaned_data["difference"],
        )

    return _cast(request, proposal_id, vote)


@never_cache
@require_POST
def challenge(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """What this person's security key is asked for exactly this decision, for two minutes and one vote."""
    try:
        options = challenges.begin(
            proposal_id=proposal_id, approver=_person(request), host=request.get_host(), now=timezone.now()
        )
    except NotFound as error:
        raise Http404(error.message) from error
    except AikaError as error:
        return JsonResponse({"code": error.code, "detail": f"{error.message} {error.fix}"}, status=error.http_status)
    return JsonResponse(options)


@never_cache
@require_POST
def decline(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """One person's no."""

    def vote(form: VoteForm) -> object:
        return decide.decline(
            proposal_id=proposal_id,
            approver=_person(request),
            digest=form.cleaned_data["digest"],
            comment=form.cleaned_data["comment"],
            now=timezone.now(),
        )

    return _cast(request, proposal_id, vote)


@never_cache
@require_POST
def revoke(request: HttpRequest, proposal_id: UUID) -> HttpResponse:
    """An approver takes back their word, as long as the order has not left."""

    def vote(form: VoteForm) -> object:
        return decide.revoke(
            proposal_id=proposal_id,
            approver=_person(request),
            comment=form.cleaned_data["comment"],
            now=timezone.now(),
        )

    return _cast(request, proposal_id, vote)


@never_cache
@require_POST
def rate(request: HttpRequest, proposal_id: UUID, item_id: UUID) -> HttpResponse:
    """Whether a lesson is useful, or not similar, as this person sees it. They stay on the page."""
    try:
        rating.rate(
            proposal_id=proposal_id,
            item_id=item_id,
            person=_person(request),
            verdict=_verdict(request.POST.get("verdict", "")),
            now=timezone.now(),
        )
    except NotFound as error:
        raise Http404(error.message) from error
    except (Forbidden, Invalid) as error:
        return _refused(request, proposal_id, error, lead="That was not kept.")
    return HttpResponseRedirect(f"{reverse('decide:page', args=[proposal_id])}#h-lessons", status=303)


def _verdict(text: str) -> FeedbackVerdict:
    try:
        return FeedbackVerdict(text)
    except ValueError as error:
        raise Invalid("VERDICT_MALFORMED", "There is no such verdict.", fix="Take one of the buttons.") from error


def _cast(request: HttpRequest, proposal_id: UUID, vote: Callable[[VoteForm], object]) -> HttpResponse:
    form = VoteForm(request.POST)
    _page(request, proposal_id)  # 404 for another desk's proposal, before anything is said about it
    try:
        if not form.is_valid():
            raise Invalid("VOTE_MALFORMED", "The vote could not be read.", fix="Reload the page and decide again.")
        vote(form)
    except NotFound as error:
        raise Http404(error.message) from error
    except AikaError as error:
        return _refused(request, proposal_id, error)
    return HttpResponseRedirect(reverse("decide:page", args=[proposal_id]), status=303)


def _refused(
    request: HttpRequest, proposal_id: UUID, error: AikaError, *, lead: str = "Your vote was not counted."
) -> HttpResponse:
    """The page again, as it is now, with what became of the vote. What the person wrote is kept."""
    shown = _page(request, proposal_id, recall=_recaller(request))
    context: dict[str, Any] = {name: request.POST.get(name, "")[:2_000] for name in _WRITTEN}
    if error.field in _WRITTEN:
        context[f"{error.field}_error"] = f"{error.message} {error.fix}"
    else:
        context["refusal"] = _refusal(shown, error, lead)
    return _render(request, shown, status=error.http_status, **context)


def _refusal(shown: DecisionPage, error: AikaError, lead: str) -> Callout:
    if isinstance(error, Conflict) and error.code in _RACES:
        ended = (
            shown.callout.lead if shown.callout and shown.state != ProposalState.AWAITING_APPROVAL else error.message
        )
        note = "" if error.code == "ALREADY_VOTED" else "Your vote was not counted."
        lead = "Time was faster." if error.code in {"PROPOSAL_EXPIRED", "DRIFTED"} else "Somebody was faster."
        if error.code == "ALREADY_VOTED":
            lead = "You voted before."
        return Callout(
            kind="", icon="clock", lead=lead, text=f"{ended} {note}".strip(), note="This is how it stands now."
        )
    kind, icon = ("stop", "stop") if isinstance(error, Denied | Forbidden) else ("warn", "warn")
    return Callout(kind=kind, icon=icon, lead=lead, text=error.message, note=error.fix)


def _person(request: HttpRequest) -> "User":
    return cast("User", request.user)


def _page(request: HttpRequest, proposal_id: UUID, *, recall: Recall | None = None) -> DecisionPage:
    sign: Sign = _signer(proposal_id)
    try:
        return decision_page(
            proposal_id=proposal_id, viewer=_person(request), now=timezone.now(), sign=sign, recall=recall
        )
    except NotFound as error:
        raise Http404(error.message) from error


def _recaller(request: HttpRequest) -> Recall:
    def recall(proposal: "Proposal", is_open: bool) -> recalling.Shown:
        return recalling.on_page(proposal=proposal, person_id=_person(request).pk, is_open=is_open, now=timezone.now())

    return recall


def _signer(proposal_id: UUID) -> Sign:
    def sign(quote: Quote) -> str:
        return signed_quotes.sign(quote, proposal_id=proposal_id)

    return sign


def _render(request: HttpRequest, shown: DecisionPage, *, status: int = 200, **extra: Any) -> HttpResponse:
    context = {
        **admin.site.each_context(request),
        "page": shown,
        "page_environment": shown.environment,
        "work": "decide",
        "title": shown.sentence.short,
        **extra,
    }
    return render(request, "approvals/decision.html", context, status=status)
