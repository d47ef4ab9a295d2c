"""Questions to the documents are kept: with rank, score, space and viewer, for those they concern, for a year."""

from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.core.cache import cache
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from apps.accounts.models import Desk, User
from apps.lessons.models import KnowledgeDocument, KnowledgeRecall, KnowledgeRecallItem
from apps.lessons.recall_types import Viewer
from apps.lessons.services.knowledge_queries import KnowledgeAnswer, query_knowledge
from apps.lessons.tasks import forget_questions
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.knowledge import KnowledgeDocumentFactory, KnowledgeRecallFactory
from tests.lessons.conftest import Fill

pytestmark = pytest.mark.django_db

LIST = "admin:lessons_knowledgerecall_changelist"
CHANGE = "admin:lessons_knowledgerecall_change"
# One answer, kept (over the index), and the list of what was asked.
QUERIES = {"answer": 10, "list": 14}


def client_of(person: User) -> Client:
    client = Client()
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def ask(text: str, *desks: Desk, viewer: Viewer, now: datetime) -> KnowledgeAnswer:
    return query_knowledge(text=text, desk_ids=[desk.pk for desk in desks], viewer=viewer, limit=5, now=now)


def kept_of(answer: KnowledgeAnswer) -> KnowledgeRecall:
    return KnowledgeRecall.objects.get(pk=answer.id)


def test_a_question_is_kept_as_it_was_answered(fill: Fill, desk: Desk, approver: User, now: datetime) -> None:
    KnowledgeDocumentFactory(desk=desk, text="# Stops\n\nSet a stop before the order leaves.", now=now)
    KnowledgeDocumentFactory(desk=desk, text="# Exits\n\nA stop order limits the loss of an order.", now=now)
    space = fill()
    text = "When is a stop set for an order?"
    answer = ask(text, desk, viewer=Viewer(person_id=approver.pk, key="bot (Ann)"), now=now)
    kept = kept_of(answer)
    assert (kept.text, kept.desk, kept.viewer, kept.viewer_key) == (text, desk, approver, "bot (Ann)")
    assert (kept.space, kept.degraded, kept.asked_at) == (space.name, False, now)
    items = list(kept.items.all())
    assert len(items) == len(answer.answers) == 2
    for place, (item, shown) in enumerate(zip(items, answer.answers, strict=True), start=1):
        assert (item.rank, item.chunk_id) == (place, shown.passage.chunk)
        assert item.score == Decimal(repr(float(shown.passage.score))).quantize(Decimal("0.000001"))
        assert shown.passage.meaning is not None
        assert float(item.components["meaning"]) == pytest.approx(shown.passage.meaning, abs=1e-6)
        assert set(item.components) == {"meaning", "keywords", "coverage"}


def test_a_question_that_nothing_answers_is_kept_too_and_one_without_the_index_says_so(
    desk: Desk, now: datetime
) -> None:
    KnowledgeDocumentFactory(desk=desk, now=now)
    nothing = ask("weather in Lisbon", desk, viewer=Viewer(key="bot"), now=now)
    assert (nothing.answers, kept_of(nothing).items.count()) == ([], 0)
    by_words = ask("stop before the order", desk, viewer=Viewer(key="bot"), now=now)
    kept = kept_of(by_words)
    assert (kept.degraded, kept.space, kept.viewer) == (True, "", None)
    assert kept.items.get().components["meaning"] is None


def test_it_is_one_desk_s_only_where_one_was_asked(desk: Desk, now: datetime) -> None:
    other = DeskFactory()
    kept = [kept_of(ask("a", *desks, viewer=Viewer(key="b"), now=now)) for desks in ((desk,), (desk, other), ())]
    assert [one.desk for one in kept] == [desk, None, None]


def test_colleagues_of_the_desk_look_back_and_nobody_else(desk: Desk, approver: User, now: datetime) -> None:
    colleague, stranger = UserFactory(role="risk", desk=desk), UserFactory(role="risk", desk=DeskFactory())
    asked = KnowledgeRecallFactory(
        desk=desk, viewer=approver, text="When is a <b>stop</b> set before the order leaves?", now=now
    )
    page, listed = reverse(CHANGE, args=[asked.pk]), reverse(LIST)
    said = client_of(colleague).get(page).content.decode()
    document = KnowledgeDocument.objects.get()
    assert "&lt;b&gt;stop&lt;/b&gt;" in said and "<b>stop" not in said
    assert f"{reverse('admin:lessons_knowledgedocument_change', args=[document.pk])}?version=1#c0" in said
    assert str(asked.pk) in client_of(colleague).get(listed).content.decode()
    assert str(asked.pk) not in client_of(stranger).get(listed).content.decode()
    assert client_of(stranger).get(page).status_code != 200


def test_what_somebody_asked_at_several_desks_they_see_themselves_and_their_colleagues_do_not(
    desk: Desk, approver: User, now: datetime
) -> None:
    asked = kept_of(ask("stop", desk, DeskFactory(), viewer=Viewer(person_id=approver.pk), now=now))
    page = reverse(CHANGE, args=[asked.pk])
    assert client_of(approver).get(page).status_code == 200
    assert client_of(UserFactory(role="approver", desk=desk)).get(page).status_code != 200
    assert client_of(UserFactory(is_superuser=True)).get(page).status_code == 200


def test_it_is_read_only(desk: Desk, now: datetime) -> None:
    client, asked = client_of(UserFactory(is_superuser=True)), KnowledgeRecallFactory(desk=desk, now=now)
    change = reverse(CHANGE, args=[asked.pk])
    assert client.get(change).status_code == client.get(change.replace("change", "history")).status_code == 200
    for address in (change, reverse("admin:lessons_knowledgerecall_add"), change.replace("change", "delete")):
        assert client.post(address, {"post": "yes"}).status_code == 403
    assert KnowledgeRecall.objects.filter(pk=asked.pk).exists()


def test_after_a_year_it_is_forgotten_and_not_before(
    desk: Desk, now: datetime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("apps.lessons.services.knowledge_recalls.FORGOTTEN_AT_ONCE", 2)
    monkeypatch.setattr("django.utils.timezone.now", lambda: now)
    year = timedelta(days=365)
    for _ in range(5):
        KnowledgeRecallFactory(desk=desk, now=now - year - timedelta(seconds=1))
    stays = KnowledgeRecallFactory(desk=desk, now=now - year)
    assert forget_questions() == {"forgotten": 5}
    assert list(KnowledgeRecall.objects.all()) == [stays]
    assert list(KnowledgeRecallItem.objects.values_list("recall", flat=True)) == [stays.pk]
    assert forget_questions() == {"forgotten": 0}


def test_ten_times_the_rows_cost_as_many_queries_as_written_down(
    fill: Fill, desk: Desk, approver: User, now: datetime
) -> None:
    def grow(times: int) -> None:
        for _ in range(times):
            KnowledgeRecallFactory(desk=desk, viewer=approver, now=now)
        fill()

    def count(act: Callable[[], object]) -> int:
        act()
        cache.delete("desk:status")
        with CaptureQueriesContext(connection) as captured:
            act()
        return len(captured)

    def measure() -> dict[str, int]:
        client = client_of(approver)
        return {
            "answer": count(lambda: ask("When is a stop set?", desk, viewer=Viewer(person_id=approver.pk), now=now)),
            "list": count(lambda: client.get(reverse(LIST))),
        }

    grow(1)
    few = measure()
    grow(9)
    assert measure() == few
    assert few == QUERIES
