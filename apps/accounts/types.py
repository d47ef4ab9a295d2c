"""Values of this app. No Django here."""

from dataclasses import dataclass
from enum import StrEnum
from uuid import UUID

from apps.audit.types import Actor, ActorKind

ACTOR_NAME_LENGTH_MAX = 200


class Role(StrEnum):
    """The groups people belong to. What each may do is the table in `services/roles.py`."""

    TRADER = "trader"
    APPROVER = "approver"
    RISK = "risk"
    OPERATOR = "operator"
    AUDITOR = "auditor"


class Scope(StrEnum):
    """What an API key may be allowed to do. None of them decides, resumes, changes policy or makes keys."""

    PROPOSE = "propose"
    READ = "read"
    REPORT = "report"
    HALT = "halt"


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """A second factor as it was sent with one act: a code of an app, or what a key signed (JSON of WebAuthn)."""

    code: str = ""
    assertion: str = ""

    @property
    def is_given(self) -> bool:
        return bool(self.code or self.assertion)


NO_PROOF = Proof()


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A second factor that was accepted for one act: `totp` or `webauthn`, and a fingerprint of which."""

    method: str
    credential: str

    def __str__(self) -> str:
        return f"{self.method}:{self.credential}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    """Who is calling. For an API key, `user_id` is its owner: people are compared, not keys."""

    user_id: UUID
    api_key_id: UUID | None
    name: str

    @property
    def is_person(self) -> bool:
        """True for a signed-in person, False for a machine."""
        return self.api_key_id is None

    @property
    def reference(self) -> str:
        """`user:<id>` or `api_key:<id>`, as idempotency records keep it."""
        return f"user:{self.user_id}" if self.api_key_id is None else f"api_key:{self.api_key_id}"

    def actor(self) -> Actor:
        """The same caller, as audit events name it."""
        name = self.name[:ACTOR_NAME_LENGTH_MAX]
        if self.api_key_id is None:
            return Actor(kind=ActorKind.USER, id=str(self.user_id), name=name)
        return Actor(kind=ActorKind.API_KEY, id=str(self.api_key_id), name=name, on_behalf_of=str(self.user_id))
