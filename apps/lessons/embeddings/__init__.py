"""Texts as vectors. `EMBEDDINGS_PROVIDER` chooses who makes them; nobody else is asked when that one cannot."""

import re
import threading
from functools import cache
from hashlib import sha256

from django.conf import settings
from threadpoolctl import threadpool_limits

from apps.common.errors import Misconfigured
from apps.lessons.embeddings.base import EmbeddingProvider
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.embeddings.static import StaticProvider
from apps.lessons.embeddings.transformer import TransformerProvider

PROVIDERS = ("hash", "static", "sentence_transformers")
SPACE_NAME_MAX = 80

_loading = threading.Lock()


def provider() -> EmbeddingProvider:
    """The configured provider, loaded once a process. Raises Misconfigured (EMBEDDINGS_UNAVAILABLE)."""
    return provider_named(settings.EMBEDDINGS_PROVIDER)


def provider_named(name: str) -> EmbeddingProvider:
    """One of PROVIDERS, loaded once a process. Raises Misconfigured (EMBEDDINGS_UNAVAILABLE)."""
    with _loading:  # or two threads that begin at once would both read the weights
        return _load(name, settings.EMBEDDINGS_MODEL if name == "sentence_transformers" else "")


@cache
def _load(name: str, model: str) -> EmbeddingProvider:
    # The products of a question are small: numpy's threads wait for each other longer than they work, and where all
    # cores are busy, ten times as long.
    threadpool_limits(limits=1, user_api="blas")
    if name == "hash":
        return HashProvider()
    if name == "static":
        return StaticProvider()
    if name == "sentence_transformers":
        return TransformerProvider(model)
    raise Misconfigured(
        "EMBEDDINGS_UNAVAILABLE",
        f"There is no provider of embeddings called {name}.",
        fix=f"Use one of {', '.join(PROVIDERS)}.",
    )


def space_name(provider: EmbeddingProvider, text_version: int) -> str:
    """The name of the space of this provider and this version of the texts: it changes whenever vectors do."""
    plain = f"{provider.id}_{provider.model}_{provider.dim}_v{provider.version}_t{text_version}"
    name = re.sub(r"[^a-z0-9]+", "_", plain.lower()).strip("_")
    if len(name) <= SPACE_NAME_MAX:
        return name
    return f"{name[: SPACE_NAME_MAX - 9]}_{sha256(plain.encode()).hexdigest()[:8]}"


def fingerprint(provider: EmbeddingProvider) -> str:
    """SHA-256 of what the provider says it is, its weights included: another one means that vectors differ."""
    said = (provider.id, provider.model, str(provider.dim), str(provider.version), provider.digest)
    return sha256("\n".join(said).encode()).hexdigest()
