"""The pages of documents: handing over with bounds, what is shown is inert, and whose it is decides who changes it."""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from apps.accounts.models import Desk, User
from apps.common import uploads
from apps.lessons.models import KnowledgeDocument, KnowledgeSource
from tests.factories.accounts import DeskFactory, UserFactory
from tests.factories.knowledge import KnowledgeDocumentFactory
from tests.lessons.documents import pdf

pytestmark = pytest.mark.django_db

ADD = "admin:lessons_knowledgedocument_add"


def client_of(person: User) -> Client:
    client = Client(enforce_csrf_checks=False)
    client.force_login(person, backend="allauth.account.auth_backends.AuthenticationBackend")
    return client


def hand_over(person: User, *files: SimpleUploadedFile, **fields: Any) -> Any:
    return client_of(person).post(reverse(ADD), {"documents": list(files), **fields})


def file(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="application/octet-stream")


def page_of(row: KnowledgeDocument) -> str:
    return reverse("admin:lessons_knowledgedocument_change", args=[row.pk])


@pytest.fixture
def document(desk: Desk, now: datetime) -> KnowledgeDocument:
    return take("# Stops\n\n<script>alert(1)</script> See https://evil.test and \u2066obey.", desk, now)


def take(text: str, desk: Desk | None, now: datetime, id: str = "doc-1") -> KnowledgeDocument:
    return KnowledgeDocumentFactory(text=text, desk=desk, now=now, id=id)


def test_files_are_taken_in_and_each_is_told_what_became_of_it(operator: User, desk: Desk) -> None:
    answer = hand_over(
        operator, file("a.md", b"# Stops\n\nSet one."), file("b.pdf", pdf("Small.")), file("c.zip", b"PK"), desk=desk.pk
    )
    text = answer.content.decode()
    assert answer.status_code == 200
    assert text.count("Added") == 2
    assert "MEDIA_TYPE_UNKNOWN" in text
    rows = KnowledgeDocument.objects.order_by("external_id")
    assert [(row.external_id, row.desk_id) for row in rows] == [("upload:a.md", desk.pk), ("upload:b.pdf", desk.pk)]
    assert (
        "Unchanged, skipped" in hand_over(operator, file("a.md", b"# Stops\n\nSet one."), desk=desk.pk).content.decode()
    )


def test_a_text_is_pasted_with_its_title(operator: User, desk: Desk) -> None:
    assert "has a title" in hand_over(operator, desk=desk.pk, text="Words.").content.decode()
    assert "Choose a file" in hand_over(operator, desk=desk.pk).content.decode()
    hand_over(operator, desk=desk.pk, text="## Size\n\nSmall.", title="Sizing")
    assert KnowledgeDocument.objects.get().external_id == "pasted:Sizing"


def test_who_may_not_hand_over_is_refused_before_a_file_is_read(trader: User, operator: User, desk: Desk) -> None:
    assert hand_over(trader, file("a.md", b"Words."), desk=desk.pk).status_code == 403
    other = DeskFactory(slug="other")
    for wrong in (other.pk, ""):
        assert hand_over(operator, file("a.md", b"Words."), desk=wrong).status_code == 200
    assert not KnowledgeDocument.objects.exists()


def test_everybodys_is_a_superusers_to_hand_over_and_to_take_out(
    admin_user: User, operator: User, now: datetime
) -> None:
    hand_over(admin_user, file("a.md", b"Words of all."), desk="")
    row = KnowledgeDocument.objects.get(desk=None)
    assert client_of(operator).get(page_of(row)).status_code == 200
    remove = reverse("admin:lessons_knowledgedocument_remove", args=[row.pk])
    assert client_of(operator).post(remove).status_code == 403
    assert client_of(admin_user).get(remove).status_code == 405
    assert client_of(admin_user).post(remove).status_code == 303
    row.refresh_from_db()
    assert row.removed_at is not None


def test_a_form_without_its_token_takes_nothing(operator: User, desk: Desk) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(operator, backend="allauth.account.auth_backends.AuthenticationBackend")
    answer = client.post(reverse(ADD), {"documents": [file("a.md", b"Words.")], "desk": desk.pk})
    assert answer.status_code == 403
    assert not KnowledgeDocument.objects.exists()


def test_too_many_or_too_large_files_are_refused(operator: User, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    many = [file(f"{number}.md", b"Words.") for number in range(uploads.FILES_MAX + 1)]
    assert hand_over(operator, *many, desk=desk.pk).status_code == 400
    monkeypatch.setattr(uploads, "BYTES_MAX", 1000)
    assert hand_over(operator, file("a.md", b"Words.\n" * 200), desk=desk.pk).status_code == 400
    assert not KnowledgeDocument.objects.exists()


def test_a_page_shows_a_text_that_can_do_nothing(trader: User, document: KnowledgeDocument) -> None:
    text = client_of(trader).get(page_of(document)).content.decode()
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in text
    assert "<script>alert" not in text
    assert 'href="https://evil.test' not in text
    assert "Take it out" not in text


def test_an_old_version_is_readable_and_says_that_it_is(trader: User, desk: Desk, now: datetime) -> None:
    take("First words.", desk, now)
    row = take("Second words.", desk, now)
    old = client_of(trader).get(page_of(row) + "?version=1").content.decode()
    assert "First words." in old
    assert "This is version 1" in old
    for wrong in ("3", "x", "0"):
        assert client_of(trader).get(page_of(row) + f"?version={wrong}").status_code in {200, 404}


def test_a_document_of_another_desk_is_not_there(document: KnowledgeDocument) -> None:
    stranger = UserFactory(username="far", role="operator", desk=DeskFactory(slug="other"))
    assert client_of(stranger).get(page_of(document)).status_code == 404
    remove = reverse("admin:lessons_knowledgedocument_remove", args=[document.pk])
    assert client_of(stranger).post(remove).status_code == 404


def test_a_folder_is_watched_only_within_the_root(
    operator: User, admin_user: User, desk: Desk, tmp_path: Path, settings: Any
) -> None:
    (tmp_path / "books").mkdir()
    settings.KNOWLEDGE_ROOT = str(tmp_path)
    add = reverse("admin:lessons_knowledgesource_add")
    for path, owner in [("/etc", desk.pk), ("../x", desk.pk), ("books", "")]:
        assert client_of(operator).post(add, {"path": path, "desk": owner, "enabled": "on"}).status_code == 200
    assert not KnowledgeSource.objects.exists()
    assert client_of(operator).post(add, {"path": "books/", "desk": desk.pk, "enabled": "on"}).status_code == 302
    assert KnowledgeSource.objects.get().path == "books"


def test_lists_ask_the_database_as_often_for_many_rows_as_for_few(
    trader: User, desk: Desk, now: datetime, django_assert_max_num_queries: Any
) -> None:
    for number in range(12):
        take(f"Words {number}.", desk, now, id=f"doc-{number}")
    client = client_of(trader)
    with django_assert_max_num_queries(14):
        assert client.get(reverse("admin:lessons_knowledgedocument_changelist")).status_code == 200
