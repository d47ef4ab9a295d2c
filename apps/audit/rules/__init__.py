"""What is hashed, and how: the chain of each stream, and the tree and body of a checkpoint.

Pure. `services.verification` does these sums again; the stand-alone verifier does them in code of its own.
"""

import hashlib
import re
import struct
from collections.abc import Mapping, Sequence
from datetime import datetime

from apps.audit.types import Actor
from apps.common import canonical

SCHEMA = "aika.event/1"
CHECKPOINT_SCHEMA = "aika.checkpoint/1"
NO_ROOT = "0" * 64
BODY_BYTES_MAX = 262_144
# A second net. The first is that callers list what they record, field by field.
SECRET_KEYS = frozenset(
    {"secret", "password", "token", "access_token", "refresh_token", "private_key", "privatekey", "authorization"}
)

_length = struct.Struct(">Q").pack
_KIND = re.compile(r"[a-z][a-z0-9_]*(\.[a-z][a-z0-9_]*)+", re.ASCII)
_DIGEST = re.compile(r"[0-9a-f]{64}", re.ASCII)


def is_kind(text: str) -> bool:
    """Whether the text names a kind of event: "proposal.proposed"."""
    return _KIND.fullmatch(text) is not None


def secret_key(value: object) -> str | None:
    """The first key, at any depth, that names a secret; None when there is none."""
    if isinstance(value, str):
        return None
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
    name, number, previous = stream.encode(), str(seq).encode(), prev_hash.encode()
    leaf = b"\x00" + _length(len(name)) + name + _length(len(number)) + number
    leaf += _length(len(previous)) + previous + _length(len(body)) + body
    return hashlib.sha256(leaf).hexdigest()


def batch_root(*, prev_root: str, entries: Sequence[tuple[int, str]]) -> str:
    """The root over a batch of sealed events, (id, hash) in the order of their seal_seq, and over the root before.

    A Merkle tree as RFC 6962 section 2.1 has it: a leaf is SHA-256 of 0x00 and its data, a node SHA-256 of 0x01 and its
    two children. The first leaf's data is the previous root (32 bytes); each other one is an event's id in 8 bytes, big
    endian, and its hash (32 bytes). Raises ValueError for a hash or root that is not 64 hex digits.
    """
    sha256 = hashlib.sha256
    level = [sha256(b"\x00" + _raw(prev_root)).digest()]
    level += [sha256(b"\x00" + event_id.to_bytes(8, "big") + _raw(hash_)).digest() for event_id, hash_ in entries]
    while len(level) > 1:
        pairs = zip(level[::2], level[1::2], strict=False)
        # The last of an odd number goes up as it is: that is the RFC's tree, split at the largest power of two.
        level = [sha256(b"\x01" + left + right).digest() for left, right in pairs] + level[len(level) & ~1 :]
    return level[0].hex()


def checkpoint_body(
    *, number: int, first_seq: int, last_seq: int, prev_root: str, root: str, sealed_at: datetime, key_id: str
) -> bytes:
    """The canonical bytes that are signed."""
    facts = {
        "first_seq": first_seq,
        "key_id": key_id,
        "last_seq": last_seq,
        "number": number,
        "prev_root": prev_root,
        "root": root,
        "sealed_at": sealed_at,
        "size": last_seq - first_seq + 1,
    }
    return canonical.encode(CHECKPOINT_SCHEMA, facts)


def key_id_of(public_key: bytes) -> str:
    """The name of a public key: the first 16 hex digits of its SHA-256."""
    return hashlib.sha256(public_key).hexdigest()[:16]


def _raw(digest: str) -> bytes:
    if not _DIGEST.fullmatch(digest):
        raise ValueError("A SHA-256 is 64 lower-case hex digits.")
    return bytes.fromhex(digest)
