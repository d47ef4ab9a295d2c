"""Policy sets and their versions: drafted by one person, frozen once they judge. What loosens takes a second person who
had no hand in it; what only tightens, one person at once."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import UUID

from django.db import IntegrityError, transaction

from apps.accounts import selectors as people
from apps.accounts.services import second_person
from apps.accounts.services.people import actor_of
from apps.audit.selectors import actors_of
from apps.audit.services import events
from apps.audit.types import Actor
from apps.common.errors import Conflict, Denied, Forbidden, Invalid, Misconfigured, NotFound
from apps.policies.models import PolicySet, PolicyVersion, Rule
from apps.policies.rules import build, loosenings
from apps.policies.selectors import next_number, rules_of
from apps.policies.services import budgets
from apps.policies.types import RuleKind, RuleRow, VersionRules, VersionState

if TYPE_CHECKING:
    from apps.accounts.models import SecondPersonRequest, User

ACTIVATE_KIND = "policy.activate"
EDITED_KINDS = ("policy.drafted", "policy.draft_edited")
ACTIVATE_TTL = timedelta(days=1)
RULES_MAX = 200


@transaction.atomic
def create_set(*, slug: str, name: str, desk_id: UUID, author: "User", now: datetime) -> PolicySet:
    """A set without a version: until one is activated it neither allows nor denies anything.

    Raises Forbidden MAY_NOT_DRAFT_POLICY, Conflict POLICY_SET_EXISTS.
    """
    _may_draft(author)
    try:
        with transaction.atomic():
            made = PolicySet.objects.create(slug=slug, name=name, desk_id=desk_id, created_at=now)
    except IntegrityError as error:
        raise Conflict("POLICY_SET_EXISTS", f'There is a policy set "{slug}" already.', field="slug") from error
    record_set("policy.set_created", made, actor_of(author), now)
    return made


@transaction.atomic
def create_draft(
    *, policy_set_id: UUID, author: "User", now: datetime, note: str = "", rules: Sequence[RuleRow] | None = None
) -> PolicyVersion:
    """A draft with these rules; with those of the active version where none are given.

    Raises Forbidden MAY_NOT_DRAFT_POLICY, NotFound POLICY_SET_NOT_FOUND, and Invalid for a rule that cannot be read.
    """
    _may_draft(author)
    policy_set = PolicySet.objects.select_for_update().filter(pk=policy_set_id).first()
    if policy_set is None:
        raise NotFound("POLICY_SET_NOT_FOUND", "There is no such policy set.")
    draft = PolicyVersion.objects.create(
        policy_set=policy_set, number=next_number(policy_set.pk), note=note, author=author, created_at=now
    )
    rows = _active_rows(policy_set) if rules is None else [_rule_of(row) for row in rules]
    for row in rows:
        row.pk, row.version = None, draft
    Rule.objects.bulk_create(rows)
    record_version("policy.drafted", draft, actor_of(author), now, rules=len(rows))
    return draft


@transaction.atomic
def request_activation(*, version_id: UUID, requester: "User", now: datetime) -> "SecondPersonRequest":
    """Ask a second person to let this draft judge. The request names the digest of the rules as they are now.

    Raises as `activate`, except for SECOND_PERSON_REQUIRED; and what second_person.request raises.
    """
    _may_draft(requester)
    version = _draft(version_id)
    ready = check_draft(version)
    why = " ".join(loosenings(active_rules(version.policy_set_id), ready))
    return second_person.request(
        kind=ACTIVATE_KIND,
        subject=_subject(version),
        digest=ready.digest,
        summary=f"Activate {version} with {len(ready.rules)} rules. {version.note} {why}".strip()[:2000],
        requester=requester,
        now=now,
        ttl=ACTIVATE_TTL,
    )


@transaction.atomic
def activate(*, version_id: UUID, person: "User", now: datetime) -> PolicyVersion:
    """Let a draft judge from now on; the version before is retired in the same moment.

    What `loosenings` finds needs a second person who neither drafted nor edited it. What only tightens needs nobody
    else, and takes a second that is there along. Raises Forbidden MAY_NOT_DRAFT_POLICY, NotFound
    POLICY_VERSION_NOT_FOUND, Conflict POLICY_NOT_A_DRAFT, Invalid POLICY_INCOMPLETE or that of a rule, Denied
    SECOND_PERSON_REQUIRED: also where a rule changed since it was seconded; Denied SECOND_PERSON_IS_AUTHOR.
    """
    _may_draft(person)
    version = _draft(version_id)
    ready = check_draft(version)
    why = loosenings(active_rules(version.policy_set_id), ready)
    seconder = _seconder(version, ready.digest, now, is_needed=bool(why))
    PolicyVersion.objects.filter(policy_set=version.policy_set, state=VersionState.ACTIVE.value).update(
        state=VersionState.RETIRED.value, retired_at=now
    )
    version.state, version.digest = VersionState.ACTIVE.value, ready.digest
    version.activated_by, version.activated_at = person, now
    version.save(update_fields=["state", "digest", "activated_by", "activated_at"])
    connections = version.policy_set.desk.connections.values_list("pk", flat=True)
    budgets.apply_limits(connection_ids=connections, now=now)
    record_version(
        "policy.activated",
        version,
        actor_of(person),
        now,
        digest=ready.digest,
        second_person=None if seconder is None else str(seconder),
        loosens=bool(why),
        loosenings=list(why),
    )
    return version


@transaction.atomic
def discard(*, version_id: UUID, person: "User", now: datetime) -> PolicyVersion:
    """End a draft that will not be used; it stays readable. Raises as `activate` does for who and for which state."""
    _may_draft(person)
    version = _draft(version_id)
    version.digest, version.state, version.retired_at = rules_of(version).digest, VersionState.RETIRED.value, now
    version.save(update_fields=["digest", "state", "retired_at"])
    record_version("policy.discarded", version, actor_of(person), now)
    return version


def check_draft(version: PolicyVersion) -> VersionRules:
    """The rules of a draft, if they can judge: every one can be read, and none of the kinds without which all is denied
    is missing. Raises Invalid POLICY_INCOMPLETE, RULE_KIND_UNKNOWN or RULE_PARAMS_INVALID."""
    ready = rules_of(version)
    if not 0 < len(ready.rules) <= RULES_MAX:
        raise Invalid("POLICY_INCOMPLETE", f"A version has 1 to {RULES_MAX} rules.", fix="Add rules to the draft.")
    for row in ready.rules:
        try:
            build(row)
        except Invalid as error:
            raise Invalid(error.code, f'The rule "{row.key}": {error.message}', fix=error.fix, field=row.key) from error
    kinds = {row.kind for row in ready.rules}
    for kind in (RuleKind.MAX_ORDER_NOTIONAL, RuleKind.APPROVALS_REQUIRED):
        if kind not in kinds and not _elsewhere(version, kind):
            raise Invalid(
                "POLICY_INCOMPLETE", f"Without a rule of the kind {kind} everything is denied.", fix="Add one."
            )
    return ready


def record_set(kind: str, made: PolicySet, actor: Actor, now: datetime, **more: object) -> None:
    """The audit event of a set."""
    payload = {"set": made.slug, "name": made.name, "desk": str(made.desk_id), **more}
    events.record(
        stream=f"policy_set:{made.pk}",
        kind=kind,
        actor=actor,
        subject=f"policy_set:{made.pk}",
        payload=payload,
        now=now,
    )


def record_version(kind: str, version: PolicyVersion, actor: Actor, now: datetime, **more: object) -> None:
    """The audit event of a version, in the stream of its set."""
    payload = {"set": version.policy_set.slug, "number": version.number, "state": version.state, **more}
    stream = f"policy_set:{version.policy_set_id}"
    events.record(stream=stream, kind=kind, actor=actor, subject=_subject(version), payload=payload, now=now)


def active_rules(policy_set_id: UUID) -> VersionRules | None:
    """The rules of the set that judge now; None where none do, or where they are not what was activated."""
    active = PolicyVersion.objects.filter(policy_set=policy_set_id, state=VersionState.ACTIVE.value)
    version = active.select_related("policy_set").first()
    try:
        return None if version is None else rules_of(version)
    except Misconfigured:
        return None


def _seconder(version: PolicyVersion, digest: str, now: datetime, *, is_needed: bool) -> UUID | None:
    """Who seconded exactly these rules, whose word is used up by this."""
    try:
        asked = second_person.use(kind=ACTIVATE_KIND, subject=_subject(version), digest=digest, now=now)
    except Denied:
        if is_needed:
            raise
        return None
    if is_needed and asked.seconder_id in _authors(version):
        raise Denied(
            "SECOND_PERSON_IS_AUTHOR",
            "Who drafted or edited a version does not second it.",
            fix="Ask somebody who had no hand in it.",
        )
    return asked.seconder_id


def _authors(version: PolicyVersion) -> set[UUID | None]:
    """Who made the draft, and whoever edited it."""
    return {version.author_id, *(UUID(actor) for actor in actors_of(_subject(version), EDITED_KINDS))}


def _elsewhere(version: PolicyVersion, kind: RuleKind) -> bool:
    """Another active set of the same desk may bring the rule."""
    return (
        Rule.objects.filter(
            version__state=VersionState.ACTIVE.value,
            version__policy_set__desk=version.policy_set.desk_id,
            kind=kind.value,
        )
        .exclude(version__policy_set=version.policy_set_id)
        .exists()
    )


def _active_rows(policy_set: PolicySet) -> list[Rule]:
    return list(Rule.objects.filter(version__policy_set=policy_set, version__state=VersionState.ACTIVE.value))


def _rule_of(row: RuleRow) -> Rule:
    build(row)
    return Rule(
        key=row.key,
        kind=row.kind,
        params=row.params,
        connection_id=row.connection,
        instrument=row.instrument or "",
        side=row.side or "",
        proposer_id=row.proposer,
    )


def _draft(version_id: UUID) -> PolicyVersion:
    """The draft, its set held until the transaction ends: two activations of one set wait for each other."""
    version = PolicyVersion.objects.filter(pk=version_id).first()
    if version is None:
        raise NotFound("POLICY_VERSION_NOT_FOUND", "There is no such policy version.")
    policy_set = PolicySet.objects.select_for_update(no_key=True).get(pk=version.policy_set_id)
    version.refresh_from_db()
    version.policy_set = policy_set
    if version.state != VersionState.DRAFT:
        raise Conflict("POLICY_NOT_A_DRAFT", f"{version} is {version.state.lower()}.", fix="Make a new draft.")
    return version


def _may_draft(person: "User") -> None:
    if not people.holds(person, "activate_policy"):
        raise Forbidden("MAY_NOT_DRAFT_POLICY", "You may not change policy.")


def _subject(version: PolicyVersion) -> str:
    return f"policy_version:{version.pk}"
