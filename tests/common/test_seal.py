"""Secrets at rest. Nothing here may print what it keeps."""

import copy
import pickle
import uuid
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django import forms
from django.contrib.admin.utils import display_for_field, lookup_field
from django.core import serializers
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import connection, transaction
from django.db.models import F
from django.test import override_settings

from apps.common.encryption import Sealed, Secret, check_keys, fingerprint, require_keys
from apps.common.errors import Misconfigured

CANARY = "canary-7f31-of-a-private-key"


def stored(column: str = "secret") -> list[bytes]:
    with connection.cursor() as cursor:
        cursor.execute(f"SELECT {column} FROM guarded_flush_vault ORDER BY name")  # noqa: S608  the tests' own words
        return [bytes(row[0]) for row in cursor.fetchall()]


def test_it_comes_back_and_is_not_readable_at_rest(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    assert row.secret.reveal() == CANARY
    read = vault_model.objects.get(pk=row.pk)
    assert read.secret.reveal() == CANARY
    assert read.spare is None
    assert CANARY.encode() not in stored()[0]
    assert CANARY not in repr(vars(read)) + repr(vars(row))
    assert vault_model.objects.defer("secret").get().secret == CANARY
    assert vault_model.objects.filter(spare__isnull=True).get().secret == CANARY


def test_a_ciphertext_of_another_row_is_refused(vault_model: Any) -> None:
    vault_model.objects.create(name="a", secret=CANARY)
    vault_model.objects.create(name="b", secret="another")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE guarded_flush_vault SET secret = %s WHERE name = 'b'", [stored()[0]])
    moved = vault_model.objects.get(name="b")
    with pytest.raises(Misconfigured) as caught:
        _ = moved.secret
    assert caught.value.code == "SECRET_MOVED"
    assert CANARY not in str(caught.value)
    with pytest.raises(Misconfigured), transaction.atomic():
        moved.save()


def test_a_ciphertext_of_another_column_is_refused(vault_model: Any) -> None:
    vault_model.objects.create(name="a", secret=CANARY, spare="other")
    with connection.cursor() as cursor:
        cursor.execute("UPDATE guarded_flush_vault SET secret = spare")
    with pytest.raises(Misconfigured, match="SECRET_MOVED"):
        _ = vault_model.objects.get().secret


def test_a_copied_row_does_not_take_the_secret_along(vault_model: Any) -> None:
    vault_model.objects.create(name="a", secret=CANARY)
    row = vault_model.objects.get()
    row.pk, row._state.adding = uuid.uuid4(), True
    with pytest.raises(Misconfigured, match="SECRET_MOVED"), transaction.atomic():
        row.save()
    row.secret = CANARY
    row.save()
    assert vault_model.objects.get(pk=row.pk).secret == CANARY


def test_without_a_primary_key_nothing_is_sealed(vault_model: Any) -> None:
    with pytest.raises(Misconfigured, match="SECRET_WITHOUT_ROW"):
        vault_model._meta.get_field("secret").seal(vault_model(id=None, name="a"), Secret("x"))


def test_a_flipped_byte_is_refused(vault_model: Any) -> None:
    vault_model.objects.create(name="a", secret=CANARY)
    token = bytearray(stored()[0])
    token[30] ^= 1
    with connection.cursor() as cursor:
        cursor.execute("UPDATE guarded_flush_vault SET secret = %s", [bytes(token)])
    with pytest.raises(Misconfigured, match="SECRET_UNREADABLE"):
        _ = vault_model.objects.get().secret


def test_nothing_but_saving_the_instance_writes_or_reads_it(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    before = stored()
    for attempt in (
        lambda: vault_model.objects.update(secret="x"),
        lambda: vault_model.objects.filter(name="a").update(secret=F("spare")),
        lambda: vault_model.objects.bulk_update([row], ["secret"]),
        lambda: vault_model.objects.bulk_create([vault_model(name="b", secret="x")]),
        lambda: list(vault_model.objects.values("secret")),
        lambda: list(vault_model.objects.values()),
        lambda: list(vault_model.objects.values_list("secret", flat=True)),
        lambda: list(vault_model.objects.filter(secret=CANARY)),
        lambda: list(vault_model.objects.filter(secret__contains="canary")),
        lambda: list(vault_model.objects.filter(secret__in=[CANARY])),
    ):
        with pytest.raises(FieldError):
            attempt()
    assert stored() == before
    vault_model.objects.update(name="z")
    assert list(vault_model.objects.values_list("name", flat=True)) == ["z"]


def test_the_field_refuses_where_no_queryset_of_ours_stands_before_it(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    plain = vault_model._base_manager
    for attempt in (lambda: plain.update(secret="x"), lambda: plain.bulk_update([row], ["secret"])):
        with pytest.raises(TypeError), transaction.atomic():
            attempt()
    assert isinstance(plain.values_list("secret", flat=True).get(), Sealed)
    assert isinstance(plain.annotate(found=F("secret")).get().found, Sealed)
    assert vault_model.objects.get().secret == CANARY


def test_it_is_never_shown(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    form_class: Any = forms.modelform_factory(vault_model, fields=["name", "secret"])
    field, _, value = lookup_field("secret", row, None)
    shown = [
        str(row.secret),
        repr(row.secret),
        f"{row.secret}",
        repr(vars(row)),
        str(form_class(instance=row)),
        display_for_field(value, field, "-"),
        serializers.serialize("json", [row]),
        repr(Sealed(b"x")),
    ]
    assert not [text for text in shown if CANARY in text]
    with pytest.raises(TypeError):
        pickle.dumps(row.secret)
    assert copy.deepcopy(row.secret) == CANARY
    assert row.secret != "canary"
    assert row.secret != 5
    assert row.secret
    assert not Secret("")


def test_an_empty_form_input_keeps_the_secret(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    form_class: Any = forms.modelform_factory(vault_model, fields=["name", "secret"])
    form = form_class({"name": "b", "secret": ""}, instance=row)
    form.fields["secret"].required = False
    assert form.is_valid(), form.errors
    assert form.save().secret == CANARY
    form = form_class({"name": "b", "secret": "new"}, instance=row)
    assert form.is_valid(), form.errors
    form.save()
    assert vault_model.objects.get().secret == "new"


def test_a_dump_holds_ciphertext_and_loads_again(vault_model: Any) -> None:
    row = vault_model.objects.create(name="a", secret=CANARY)
    field = vault_model._meta.get_field("secret")
    dumped = field.value_to_string(row)
    assert dumped.startswith("sealed:")
    vault_model.objects.all().delete()
    vault_model(id=row.id, name="a", secret=field.to_python(dumped)).save_base(raw=True)
    assert vault_model.objects.get().secret == CANARY


def test_the_first_key_encrypts_and_all_decrypt(vault_model: Any) -> None:
    old, new, other = (Fernet.generate_key().decode() for _ in range(3))
    with override_settings(TOKEN_ENCRYPTION_KEYS=(old,)):
        vault_model.objects.create(name="a", secret=CANARY)
    with override_settings(TOKEN_ENCRYPTION_KEYS=(new, old)):
        row = vault_model.objects.get()
        row.secret = row.secret.reveal()
        row.save()
    with override_settings(TOKEN_ENCRYPTION_KEYS=(new,)):
        assert vault_model.objects.get().secret == CANARY
    with override_settings(TOKEN_ENCRYPTION_KEYS=(other,)), pytest.raises(Misconfigured, match="SECRET_UNREADABLE"):
        _ = vault_model.objects.get().secret


@pytest.mark.parametrize("keys", [(), ("",), ("not-a-key",), ("bm90IDMyIGJ5dGVz",)])
def test_a_missing_or_malformed_key_is_an_error_at_start(vault_model: Any, keys: tuple[str, ...]) -> None:
    with override_settings(TOKEN_ENCRYPTION_KEYS=keys):
        assert [error.id for error in check_keys()] == ["common.E001"]
        with pytest.raises(ImproperlyConfigured) as caught:
            require_keys()
        assert "not-a-key" not in str(caught.value)
        with pytest.raises(ImproperlyConfigured), transaction.atomic():
            vault_model.objects.create(name="a", secret=CANARY)
    assert vault_model.objects.count() == 0
    assert check_keys() == []


def test_a_fingerprint_tells_secrets_apart() -> None:
    assert len(fingerprint(CANARY)) == 8
    assert fingerprint(CANARY) == fingerprint(CANARY) != fingerprint(CANARY + "x")
