"""What the memory keeps of itself: recalls, measurements, spaces and entries of the index. Valid by default."""

from datetime import timedelta
from typing import Any

import factory

from apps.accounts.models import Desk
from apps.lessons.models import Case, Evaluation, IndexEntry, IndexSpace, Recall, RecallItem
from apps.lessons.services import helping
from apps.lessons.types import EntryKind, RecallPurpose, SpaceState
from tests.factories.accounts import LONG_AGO, DeskFactory
from tests.factories.lessons import CaseFactory


class RecallFactory(factory.Factory[Recall]):
    """`RecallFactory(case=..., score=...)`: an answer with one case in it, shown on a page unless told otherwise."""

    class Meta:
        model = Recall

    @classmethod
    def _create(cls, model_class: type[Recall], *args: Any, **kwargs: Any) -> Recall:
        case: Case = kwargs.pop("case", None) or CaseFactory(desk=kwargs.get("desk") or DeskFactory())
        score, counter = kwargs.pop("score", 1), kwargs.pop("counter_example", False)
        values = {"desk": case.desk, "purpose": RecallPurpose.PAGE, "asked_at": LONG_AGO, **kwargs}
        recall = Recall.objects.create(**values)
        RecallItem.objects.create(recall=recall, case=case, rank=1, score=score, counter_example=counter)
        return recall


class EvaluationFactory(factory.Factory[Evaluation]):
    """`EvaluationFactory(desk=...)`: what is measured of a desk that remembers one trade, or more."""

    class Meta:
        model = Evaluation

    @classmethod
    def _create(cls, model_class: type[Evaluation], *args: Any, **kwargs: Any) -> Evaluation:
        desk: Desk = kwargs.pop("desk", None) or DeskFactory()
        if not Case.objects.filter(desk=desk).exists():
            CaseFactory(desk=desk)
        made = helping.evaluate(now=kwargs.pop("now", LONG_AGO + timedelta(days=1)), **kwargs)
        return next(one for one in made if one.desk_id == desk.pk)


class IndexSpaceFactory(factory.django.DjangoModelFactory[IndexSpace]):
    """A space that was asked once."""

    class Meta:
        model = IndexSpace

    name = factory.Sequence(lambda number: f"hash_{number}")
    provider = "hash"
    dim = 2048
    fingerprint = "f" * 64
    state = SpaceState.OLD
    created_at = LONG_AGO


class IndexEntryFactory(factory.django.DjangoModelFactory[IndexEntry]):
    """A text that waits for its space."""

    class Meta:
        model = IndexEntry

    kind = EntryKind.CASE
    subject = factory.Faker("uuid4", cast_to=None)
    space = factory.SubFactory(IndexSpaceFactory)
    content_hash = "c" * 64
    next_try_at = LONG_AGO
    queued_at = LONG_AGO
