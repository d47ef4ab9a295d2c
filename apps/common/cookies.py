"""Cookies beside session and CSRF token, bound as those are."""

from typing import Any

from django.conf import settings
from django.contrib.messages.storage.cookie import CookieStorage
from django.contrib.messages.storage.fallback import FallbackStorage
from django.contrib.messages.storage.session import SessionStorage
from django.http import HttpRequest


def bound(name: str) -> str:
    """The name of a cookie that only this very host can set, where cookies travel over TLS only: `__Host-`, a browser
    takes no such cookie from a neighbouring subdomain. It must have the path / and no domain."""
    return f"__Host-{name}" if settings.SESSION_COOKIE_SECURE else name


class BoundMessages(CookieStorage):
    """Messages from one page to the next, in a cookie that nobody else plants."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(request, *args, **kwargs)
        self.cookie_name = bound("aika-messages")


class MessageStorage(FallbackStorage):
    """Django's own, over that cookie. Named by `MESSAGE_STORAGE`."""

    storage_classes = (BoundMessages, SessionStorage)
