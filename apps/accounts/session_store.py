"""Django's session engine over `BrowserSession`: named by `SESSION_ENGINE`.

As Django's own in the database, with three differences: the row is found by the hash of the cookie and so gives nobody
one, both limits of time are part of finding it, and it knows its person. One query, as there.
"""

from typing import Any

from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import CreateError, SessionBase, UpdateError
from django.contrib.sessions.exceptions import SessionInterrupted
from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import BrowserSession
from apps.accounts.services import browser_sessions
from apps.accounts.services.browser_sessions import hash_of
from apps.accounts.visitors import Visitor


class SessionStore(SessionBase):
    """One session. `row` is there once it was read, `visitor` where a request carries it."""

    def __init__(self, session_key: str | None = None) -> None:
        super().__init__(session_key)
        self.row: BrowserSession | None = None
        self.visitor = Visitor()

    def load(self) -> dict[str, Any]:
        """What it holds; nothing, and no key any more, where there is none or its time is over."""
        now = timezone.now()
        self.row = browser_sessions.standing(now).filter(pk=hash_of(self.session_key or "")).order_by().first()
        if self.row is None:
            self._session_key = None
            return {}
        return dict(self.decode(self.row.data))

    def exists(self, session_key: str) -> bool:
        """Whether there is a row for this cookie, over or not."""
        return BrowserSession.objects.filter(pk=hash_of(session_key)).exists()

    def create(self) -> None:
        """A new empty session under a new key."""
        while True:
            self._session_key = self._get_new_session_key()  # type: ignore[attr-defined]  # not in the stubs
            try:
                self.save(must_create=True)
            except CreateError:
                continue
            self.modified = True
            return

    def renew_key(self) -> None:
        """The same session under a new key, begun when it was begun; the old one opens nothing any more.

        `cycle_key` makes a new row, whose time begins again: right at a sign-in, and never for somebody who is in.
        Raises SessionInterrupted for a session that was ended meanwhile.
        """
        if self.session_key is None:
            return
        key = self._get_new_session_key()  # type: ignore[attr-defined]  # not in the stubs
        if not BrowserSession.objects.filter(pk=hash_of(self.session_key)).update(key_hash=hash_of(key)):
            raise SessionInterrupted("The session was ended before the request completed.")
        self._session_key = key
        if self.row is not None:
            self.row.key_hash = hash_of(key)
        self.modified = True

    def save(self, must_create: bool = False) -> None:
        """Raises CreateError for a key there is, UpdateError for a session that was ended meanwhile."""
        if self.session_key is None:
            self.create()
            return
        data = self._get_session(no_load=must_create)  # type: ignore[attr-defined]  # likewise
        values = {
            "data": self.encode(data),
            "person_id": data.get(SESSION_KEY),
            "expires_at": self.get_expiry_date(),
        }
        key_hash, now = hash_of(self.session_key), timezone.now()
        if not must_create:
            if not BrowserSession.objects.filter(pk=key_hash).update(**values):
                raise UpdateError
            return
        self.row = None
        try:
            with transaction.atomic():
                BrowserSession.objects.create(
                    key_hash=key_hash,
                    created_at=now,
                    last_seen_at=now,
                    address=self.visitor.address,
                    device=self.visitor.device,
                    **values,
                )
        except IntegrityError as error:
            raise CreateError from error

    def delete(self, session_key: str | None = None) -> None:
        """End it; nothing where it has ended."""
        key = session_key or self.session_key
        if key is not None:
            BrowserSession.objects.filter(pk=hash_of(key)).delete()

    @classmethod
    def clear_expired(cls) -> None:
        """For `manage.py clearsessions`."""
        browser_sessions.forget_ended(now=timezone.now())
