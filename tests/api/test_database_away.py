"""While the database is away, pages and API say that it is: 503, and when to come again. A defect stays one."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.db import OperationalError, connection
from django.test import AsyncClient, Client

from tests.factories.accounts import UserFactory


def away(*_of: Any) -> Any:
    """As every statement ends then."""
    raise OperationalError("server closed the connection unexpectedly")


def defective(*_of: Any) -> Any:
    """Something nobody foresaw."""
    raise ZeroDivisionError


@pytest.fixture
def browser() -> Client:
    """Somebody signed in: their session is read before any view is asked."""
    client = Client(raise_request_exception=False)
    client.force_login(UserFactory(username="marta", role="approver"))
    return client


@pytest.mark.django_db
def test_a_page_and_the_api_say_that_the_database_is_away(browser: Client) -> None:
    with connection.execute_wrapper(away):
        page = browser.get("/admin/")
        told = browser.get("/api/v1/approvals")

    assert (page.status_code, page["Retry-After"]) == (503, told["Retry-After"])
    assert "Try again in a few seconds" in page.content.decode()
    assert (told.status_code, told.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    assert browser.get("/admin/").status_code == 200


@pytest.mark.django_db
def test_so_they_do_at_the_asynchronous_door(browser: Client) -> None:
    """`make run` and the sockets' server come in there."""
    there = AsyncClient(raise_request_exception=False)
    there.cookies = browser.cookies
    with connection.execute_wrapper(away):
        page = async_to_sync(there.get)("/admin/")
        told = async_to_sync(there.get)("/api/v1/approvals")

    assert (page.status_code, page["Retry-After"]) == (503, told["Retry-After"])
    assert "Try again in a few seconds" in page.content.decode()
    assert (told.status_code, told.json()["code"]) == (503, "DATABASE_UNAVAILABLE")
    with connection.execute_wrapper(defective):
        assert async_to_sync(there.get)("/admin/").status_code == 500


@pytest.mark.django_db
def test_a_defect_stays_one(browser: Client) -> None:
    with connection.execute_wrapper(defective):
        page = browser.get("/admin/")
        told = browser.get("/api/v1/approvals")

    assert page.status_code == 500 and "Something broke" in page.content.decode()
    assert (told.status_code, told.json()["code"]) == (500, "INTERNAL_ERROR")
