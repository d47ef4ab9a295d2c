"""Static files for the embedded way to run: straight from where the finders find them, nothing collected first."""

import os
from typing import Any

from django.conf import settings
from django.contrib.staticfiles import finders
from starlette.middleware.exceptions import ExceptionMiddleware
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from apps.common import answer_headers


class FoundStaticFiles(StaticFiles):
    """Every folder of every staticfiles finder, in the finders' order."""

    def __init__(self) -> None:
        super().__init__()
        self.all_directories = [
            storage.location
            for finder in finders.get_finders()
            for storage in getattr(finder, "storages", {}).values()
            if os.path.isdir(storage.location)
        ]

    async def check_config(self) -> None:
        """Nothing to check: folders that are not there were left out."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        """The file, to be asked for again each time: names carry no hash here, and an old style sheet misleads."""
        response = super().file_response(*args, **kwargs)
        response.headers["Cache-Control"] = "no-cache"
        return response


def with_static(inner: ASGIApp) -> ASGIApp:
    """`inner`, with everything under STATIC_URL answered before it."""
    prefix = settings.STATIC_URL.rstrip("/")
    files = ExceptionMiddleware(FoundStaticFiles())
    more = [(name.lower().encode(), value.encode()) for name, value in answer_headers.on_static_files().items()]

    async def application(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(f"{prefix}/"):

            async def send_with_headers(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message = {**message, "headers": [*message["headers"], *more]}
                await send(message)

            await files({**scope, "root_path": scope.get("root_path", "") + prefix}, receive, send_with_headers)
        else:
            await inner(scope, receive, send)

    return application
