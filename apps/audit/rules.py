"""The chain: what is hashed, and how. Pure; `services.verification` and the stand-alone verifier do the same sums."""

import hashlib
import re
from collections.abc import Mapping
from datetime import datetime

from apps.audit.types import Actor
from apps.common import canonical

SCHEMA = "aika.event/1"
BODY_BYTES_MAX = 262_144
# A second net. The first is that callers list what they record, field by field.
SECRET_KEYS = frozenset(
    {"secret", "password", "token", "access_token", "refresh_token", "private_key", "privatekey", "authorization"}
)

_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)


def is_kind(text: str) -> bool:
    """Whether the text names a kind of event: "proposal.proposed"."""
    return _KIND.fullmatch(text) is not None


def secret_key(value: object) -> str | None:
    """The first key, at any depth, that names a secret; None when there is none."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            if str(key).lower().replace("-", "_") in SECRET_KEYS:
                return str(key)
            if (inner := secret_key(item)) is not None:
                return inner
    if isinstance(value, list | tuple):
        return next((inner for item in value if (inner := secret_key(item)) is not None), None)
    return None


def body_of(
    *, kind: str, actor: Actor, subject: str, payload: Mapping[str, object], previous_id: int, now: datetime
) -> bytes:
    """The canonical bytes of an event. They name the row before (0 at the beginning), so that its id is hashed too."""
    facts = {
        "actor": {"kind": actor.kind, "id": actor.id, "name": actor.name, "on_behalf_of": actor.on_behalf_of},
        "kind": kind,
        "payload": payload,
        "previous_id": previous_id,
        "recorded_at": now,
        "subject": subject,
    }
    return canonical.encode(SCHEMA, facts)


def chain_hash(*, stream: str, seq: int, prev_hash: str, body: bytes) -> str:
    """SHA-256 over a 0x00 byte, then stream, seq, previous hash and body, each after its length in 8 bytes, big endian.

    The lengths keep a byte from moving between neighbours; 0x00 marks a leaf, as RFC 6962 does.
    """
    hashed = hashlib.sha256(b"\x00")
    for part in (stream.encode(), str(seq).encode(), prev_hash.encode(), body):
        hashed.update(len(part).to_bytes(8, "big"))
        hashed.update(part)
    return hashed.hexdigest()
