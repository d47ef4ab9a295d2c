"""The exact decimal column, on whichever database the tests run."""

from decimal import Decimal
from typing import Any

import pytest
from django import forms
from django.contrib.admin.utils import display_for_field
from django.core import serializers
from django.core.exceptions import FieldError, ValidationError
from django.db import connection, transaction
from django.db.models import Avg, Count, F, Max, Min, Sum

BIGGEST = "99999999999999999999.999999999999999999"


@pytest.mark.parametrize(
    "text",
    ["0", "-1", "1.1", "100", "0.1", "0.000000000000000001", BIGGEST, f"-{BIGGEST}", "12345678901234567890.123456789"],
)
def test_every_digit_comes_back_in_normal_form(price_model: Any, text: str) -> None:
    row = price_model.objects.create(name="a", price=Decimal(text))
    read = price_model.objects.get(pk=row.pk).price
    assert isinstance(read, Decimal)
    assert str(read) == str(Decimal(text)) or format(read, "f") == text
    assert price_model.objects.filter(price=Decimal(text)).count() == 1
    assert price_model.objects.filter(price__in=[Decimal(text), Decimal(7)]).count() == 1


def test_equal_numbers_are_found_however_they_are_written(price_model: Any) -> None:
    price_model.objects.create(name="a", price=Decimal("1.500"))
    price_model.objects.create(name="b", price=Decimal("1E+2"))
    assert price_model.objects.get(price=Decimal("1.5")).name == "a"
    assert price_model.objects.get(price=100).name == "b"
    assert price_model.objects.filter(price=F("price")).count() == 2
    assert price_model.objects.filter(fee__isnull=True).count() == 2


def test_the_column_holds_canonical_text_on_sqlite_and_a_number_on_postgresql(price_model: Any) -> None:
    price_model.objects.create(name="a", price=Decimal("1.50"))
    with connection.cursor() as cursor:
        cursor.execute("SELECT price FROM guarded_flush_price")
        stored = cursor.fetchone()[0]
    assert stored == ("1.5" if connection.vendor == "sqlite" else Decimal("1.5"))


@pytest.mark.parametrize(
    "value",
    [1.5, True, float("nan"), Decimal("NaN"), Decimal("Infinity"), "NaN", "1e5", "", Decimal("1E-19"), 10**20,
     Decimal("1E+400"), b"1", object()],
)  # fmt: skip
def test_what_does_not_fit_exactly_is_refused(price_model: Any, value: Any) -> None:
    with pytest.raises(ValueError), transaction.atomic():
        price_model.objects.create(name="a", price=value)
    with pytest.raises(ValidationError):
        price_model(name="a", price=value).full_clean()
    assert price_model.objects.count() == 0


@pytest.mark.parametrize("lookup", ["gt", "gte", "lt", "lte", "range", "contains", "startswith", "iexact", "regex"])
def test_lookups_that_would_compare_text_are_refused(price_model: Any, lookup: str) -> None:
    with pytest.raises(FieldError, match=lookup):
        price_model.objects.filter(**{f"price__{lookup}": Decimal(1)})


@pytest.mark.parametrize("aggregate", [Sum, Avg, Min, Max])
def test_sums_and_extremes_in_sql_are_refused(price_model: Any, aggregate: Any) -> None:
    price_model.objects.create(name="a", price=Decimal("0.1"))
    with pytest.raises(FieldError):
        price_model.objects.aggregate(found=aggregate("price"))
    assert price_model.objects.aggregate(found=Count("price")) == {"found": 1}


def test_arithmetic_in_sql_is_refused(price_model: Any) -> None:
    price_model.objects.create(name="a", price=Decimal("0.1"), fee=Decimal("0.2"))
    with pytest.raises(FieldError):
        list(price_model.objects.annotate(found=F("price") + F("fee")))


def test_bulk_writing_is_exact_too(price_model: Any) -> None:
    rows = price_model.objects.bulk_create([price_model(name=str(n), price=Decimal(BIGGEST)) for n in range(2)])
    for row in rows:
        row.fee = Decimal("0.10")
    price_model.objects.bulk_update(rows, ["fee"])
    price_model.objects.filter(name="1").update(price=Decimal("3.0"))
    assert [(str(row.price), str(row.fee)) for row in price_model.objects.order_by("name")] == [
        (BIGGEST, "0.1"),
        ("3", "0.1"),
    ]
    assert list(price_model.objects.filter(name="1").values_list("price", flat=True)) == [Decimal(3)]


def test_forms_and_fixtures_carry_text(price_model: Any) -> None:
    form_class: Any = forms.modelform_factory(price_model, fields=["name", "price", "fee"])
    form = form_class({"name": "a", "price": "0.10", "fee": ""})
    assert form.is_valid(), form.errors
    row = form.save()
    assert (row.price, row.fee) == (Decimal("0.1"), None)
    assert 'value="0.1"' in str(form_class(instance=row)["price"])
    assert display_for_field(Decimal("1E-8"), price_model._meta.get_field("price"), "-") == "0.00000001"
    for wrong in ("1e5", "NaN", "0." + "1" * 19, "1,5"):
        assert form_class({"name": "a", "price": wrong}).errors.keys() == {"price"}
    assert '"price": "0.1"' in serializers.serialize("json", [row])


def test_a_float_in_the_database_is_an_error(price_model: Any) -> None:
    with pytest.raises(TypeError):
        price_model._meta.get_field("price").from_db_value(1.5, None, connection)
