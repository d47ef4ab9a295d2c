"""Answers that no view of ours gives carry the same headers: files, ways to TLS, refusals, defects."""

import asyncio
import runpy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.http import HttpRequest, HttpResponse
from django.test import Client, override_settings
from django.urls import include, path, reverse

import config.urls
from config.static import with_static
from tests.architecture.test_settings import PRODUCTION, ROOT

pytestmark = pytest.mark.django_db

EVERYWHERE = {
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}
POLICY = {"default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "script-src 'self'"}
FOR_A_YEAR = "max-age=31536000; includeSubDomains; preload"
FILE = "/static/look.css"
SECURITY = "django.middleware.security.SecurityMiddleware"
FRAMES = "django.middleware.clickjacking.XFrameOptionsMiddleware"
FILES = "whitenoise.middleware.WhiteNoiseMiddleware"


def breaks(_request: HttpRequest) -> HttpResponse:
    raise RuntimeError("a defect")


urlpatterns = [path("breaks", breaks), path("", include(config.urls.urlpatterns))]
handler400, handler403 = config.urls.handler400, config.urls.handler403
handler404, handler500 = config.urls.handler404, config.urls.handler500


@pytest.fixture
def in_production(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[list[str]]:
    """The layers of a server installation and what it says of TLS, with one file collected; the layers' names."""
    for name, value in PRODUCTION.items():
        monkeypatch.setenv(name, value)
    said = runpy.run_path(str(ROOT / "config" / "settings" / "production.py"))
    asked = {name: said[name] for name in said if name.startswith("SECURE_") or name == "MIDDLEWARE"}
    (tmp_path / "look.css").write_text("a{}", encoding="utf-8")
    with override_settings(**asked, STATIC_ROOT=tmp_path, ROOT_URLCONF=__name__):
        yield said["MIDDLEWARE"]


def answers() -> dict[str, tuple[int, Any]]:
    """What was asked for -> the status that it should have, and the answer."""
    client = Client(raise_request_exception=False, enforce_csrf_checks=True)
    elsewhere = {"Host": "evil.example"}
    login = reverse("account_login")
    found = {
        "file": (200, client.get(FILE, secure=True)),
        "file, sent to": (405, client.post(FILE, secure=True)),
        "file that is not there": (404, client.get("/static/none.css", secure=True)),
        "file, not over TLS": (301, client.get(FILE)),
        "page, not over TLS": (301, client.get(login)),
        "defect": (500, client.get("/breaks", secure=True)),
        "form without its token": (403, client.post(login, {"login": "x"}, secure=True)),
        "host of somebody else": (400, client.get(login, secure=True, headers=elsewhere)),
        "host of somebody else, not over TLS": (400, client.get(login, headers=elsewhere)),
    }
    for _, answer in found.values():
        answer.close()  # a file stays open otherwise
    return found


def lacks(headers: Any, *, over_tls: bool = False) -> list[str]:
    """The names of the headers that are missing, or say something else."""
    found = [name for name, value in EVERYWHERE.items() if headers.get(name) != value]
    policy = headers.get("content-security-policy", "")
    if not set(policy.split("; ")) >= POLICY or "unsafe" in policy:
        found.append("content-security-policy")
    if over_tls and headers.get("strict-transport-security") != FOR_A_YEAR:
        found.append("strict-transport-security")
    return found


def test_in_a_server_installation(in_production: list[str]) -> None:
    for name, (status, answer) in answers().items():
        assert answer.status_code == status, name
        assert lacks(answer.headers, over_tls="not over TLS" not in name) == [], name
        if status == 301:
            assert answer["Location"].startswith("https://testserver/"), name


def test_with_files_in_front_and_django_s_own_layers_some_go_without(in_production: list[str]) -> None:
    """The order that manuals have: what is asserted above can fail."""
    ours = "apps.common.answer_headers.SecurityHeadersMiddleware"
    rest = [name for name in in_production[1:] if name not in (FILES, FRAMES, SECURITY, ours)]
    with override_settings(MIDDLEWARE=[in_production[0], FILES, SECURITY, *rest, FRAMES]):
        bare = {name for name, (_, answer) in answers().items() if lacks(answer.headers)}
    assert {"file", "file, not over TLS", "page, not over TLS", "host of somebody else, not over TLS"} <= bare


def test_files_of_the_embedded_way_to_run() -> None:
    async def inner(_scope: Any, _receive: Any, _send: Any) -> None:
        raise AssertionError("Django is not asked for files")

    async def ask() -> list[httpx.Response]:
        transport = httpx.ASGITransport(with_static(inner))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            asked = [("GET", "/static/admin/css/base.css"), ("GET", "/static/none.css"), ("POST", "/static/none.css")]
            return [await client.request(method, address) for method, address in asked]

    found = asyncio.run(ask())
    assert [answer.status_code for answer in found] == [200, 404, 405]
    for answer in found:
        assert lacks(answer.headers) == []
        assert len(answer.headers.get_list("content-type")) == 1
    assert found[0].headers["content-type"].startswith("text/css")
