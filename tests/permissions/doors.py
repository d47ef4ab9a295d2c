"""Every door there is, as the URLconf, the admin's registry and the socket routes have them."""

from collections.abc import Iterator
from typing import Any, NamedTuple

from django.contrib import admin
from django.urls import get_resolver

STOCK = {"changelist", "add", "history", "delete", "change"}
METHODS = ("GET", "POST")
# A door that answers one of these has a row for it, too.
OTHER_METHODS = ("PUT", "PATCH", "DELETE")


class Door(NamedTuple):
    """One address of the URLconf. `params` are the names of what varies in it."""

    route: str
    params: frozenset[str]
    pattern: Any

    def path(self, values: dict[str, object]) -> str:
        """The address with these values put in."""
        return "/" + "/".join(
            str(values[part.strip("<>").partition(":")[2] or part.strip("<>")]) if part.startswith("<") else part
            for part in self.route.split("/")
        )


def doors() -> dict[str, Door]:
    """Route -> door, without the stock pages of models: those are rows of `models`."""
    return {door.route: door for door in _walk(get_resolver(), "", {}) if not _is_stock(door)}


def models() -> dict[str, Any]:
    """`app.model` -> its page in the registry of the admin."""
    return {model._meta.label_lower: page for model, page in admin.site._registry.items()}


def sockets() -> dict[str, Any]:
    """Path -> consumer class, as config/asgi.py serves them; the one that leads nowhere left out."""
    from config.asgi import application

    routes = application.application_mapping["websocket"].routes  # type: ignore[attr-defined]
    return {route.pattern.regex.pattern.strip("^$"): route.callback for route in routes if route.pattern.regex.pattern}


def _walk(resolver: Any, before: str, params: dict[str, Any]) -> Iterator[Door]:
    for pattern in resolver.url_patterns:
        route, found = before + str(pattern.pattern), params | pattern.pattern.converters
        if hasattr(pattern, "url_patterns"):
            yield from _walk(pattern, route, found)
        else:
            yield Door(route, frozenset(found), pattern)


def _is_stock(door: Door) -> bool:
    stock = {
        f"{model._meta.app_label}_{model._meta.model_name}_{page}" for model in admin.site._registry for page in STOCK
    }
    return door.pattern.name in stock or door.route.endswith("/<path:object_id>/")
