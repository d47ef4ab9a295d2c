"""The mistakes a text speaks of, as the configured embeddings see them: suggestions to a reviewer, and a part of the
ranking. They never count as evidence."""

from collections.abc import Sequence
from decimal import Decimal
from functools import cache, lru_cache
from hashlib import sha256
from struct import Struct

import numpy as np
from django.conf import settings

from apps.lessons import embeddings
from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.rules import tagging
from apps.lessons.rules.prototypes import prototypes
from apps.lessons.types import MistakeTag, TagFound, TagSource

SUGGESTED_FROM = 0.15  # weight from which a tag is worth a reviewer's look
QUICK = frozenset({"hash", "static"})  # below 1 ms a text
TEXTS_KEPT = 50_000  # about 40 MB
_KEPT = np.dtype("<f8")
_WEIGHTS = Struct(f"<{len(tagging.TAGS)}d")  # the same, quicker for one


def tags_of(text: str, provider: EmbeddingProvider | None = None) -> tagging.Weighed:
    """How much a text speaks of each mistake, strongest first; empty where it says nothing. Remembered per text."""
    return tagging.weighed(_weights_of(text, provider or embeddings.provider()))


def text_of(thesis: str, narrative: str) -> str:
    """Of a case's texts the one that speaks of its mistakes: what was said afterwards, where anything was."""
    return narrative or thesis


def weigh(text: str, provider: EmbeddingProvider) -> bytes:
    """What `tags_of` finds in a text, to be kept."""
    return _weights_of(text, provider).astype(_KEPT).tobytes()


def tags_kept(weights: bytes) -> tagging.Weighed:
    """What `tags_of` says of the text that was weighed, in the order of the list."""
    return dict(zip(tagging.TAGS, _WEIGHTS.unpack(weights), strict=True)) if weights else {}


@cache
def maker(provider: EmbeddingProvider) -> str:
    """SHA-256 of all that what is found depends on besides the text: kept weights of another maker do not hold."""
    words = embeddings.provider_named("hash")
    said = (embeddings.fingerprint(provider), embeddings.fingerprint(words), tagging.FORM, prototypes())
    return sha256(repr(said).encode()).hexdigest()


def suggest(text: str) -> tuple[TagFound, ...]:
    """The mistakes of a text that are worth suggesting, strongest first.

    A case is made while the books are open: where the configured provider takes its time over a text, as a sentence
    model does, the words themselves must do. Raises Misconfigured EMBEDDINGS_UNAVAILABLE.
    """
    return tuple(
        TagFound(
            tag=MistakeTag(tag),
            source=TagSource.PROTOTYPE,
            confidence=Decimal(weight).quantize(Decimal("0.001")),
            because="Its text is like what is said of this mistake.",
        )
        for tag, weight in tags_of(text, embeddings.provider_named(_quick())).items()
        if weight >= SUGGESTED_FROM
    )


def _quick() -> str:
    configured: str = settings.EMBEDDINGS_PROVIDER
    return configured if configured in QUICK else "hash"


@lru_cache(maxsize=TEXTS_KEPT)
def _weights_of(text: str, provider: EmbeddingProvider) -> tagging.Scores:
    said = tagging.sentences(text)
    return tagging.posterior(_tagger(provider), provider.embed_documents(said), _words(said, provider))


@cache
def _tagger(provider: EmbeddingProvider) -> tagging.Tagger:
    shown = prototypes()
    texts = [one.text for one in shown]
    return tagging.learn(provider.embed_documents(texts), _words(texts, provider), [one.tag for one in shown])


def _words(texts: Sequence[str], provider: EmbeddingProvider) -> embeddings.base.Matrix | None:
    """Shared words beside meaning; None where the provider sees words only."""
    words = embeddings.provider_named("hash")
    return None if provider.id == words.id else np.asarray(words.embed_documents(texts))
