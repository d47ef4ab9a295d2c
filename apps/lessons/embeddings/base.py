"""What every provider of embeddings promises, and the test that each one stands at start."""

from collections.abc import Hashable, Sequence
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from apps.common.errors import Misconfigured

Vector: TypeAlias = NDArray[np.float32]
Matrix: TypeAlias = NDArray[np.float32]

# Three short texts that any provider must tell apart: the first two share their words, the third shares none.
SELF_TEST = (
    "The stop was moved away and the loss grew.",
    "The stop was moved away, so the loss grew.",
    "Corn contracts expire on Tuesday morning.",
)


class EmbeddingProvider(Hashable, Protocol):
    """Turns texts into vectors that may be compared with each other by their dot product.

    `id`, `model`, `dim`, `version` and `digest` (of the weights) name the space: vectors of two spaces are never
    compared. `max_tokens` is how much the provider reads at once, None where that is any text. A longer text is
    read in parts, to its end: nothing is left out of a vector. `fit_free` says that a vector
    depends on its text alone, not on the texts embedded before. Safe to use from several threads.
    """

    @property
    def id(self) -> str: ...
    @property
    def model(self) -> str: ...
    @property
    def dim(self) -> int: ...
    @property
    def version(self) -> int: ...
    @property
    def digest(self) -> str: ...
    @property
    def max_tokens(self) -> int | None: ...
    @property
    def fit_free(self) -> bool: ...
    @property
    def description(self) -> str:
        """What it does and does not do, in a sentence for people."""
        ...

    def embed_documents(self, texts: Sequence[str]) -> Matrix:
        """One row a text, of length 1; a row of zeros for a text with nothing to embed."""
        ...

    def embed_query(self, text: str) -> Vector:
        """The vector of one text, as `embed_documents` gives it."""
        ...

    def self_test(self) -> None:
        """Raise Misconfigured (EMBEDDINGS_BROKEN) where what comes out cannot be searched with."""
        ...


def normalised(rows: Matrix) -> Matrix:
    """Each row at length 1; rows of zeros stay."""
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Matrix = np.divide(rows, length, out=np.zeros(rows.shape, dtype=np.float32), where=length > 0)
    return unit


def check(provider: EmbeddingProvider) -> None:
    """The self-test of every provider: shape, length, empty text, and that like is nearer than unlike.

    Raises Misconfigured (EMBEDDINGS_BROKEN).
    """
    rows = provider.embed_documents([*SELF_TEST, ""])
    lengths = np.linalg.norm(rows, axis=1)
    promises = {
        "the shape": rows.shape == (4, provider.dim) and rows.dtype == np.float32,
        "finite numbers": bool(np.isfinite(rows).all()),
        "length 1": bool(np.allclose(lengths[:3], 1.0, atol=1e-3)),
        "zeros for an empty text": lengths[3] == 0.0,
        "one vector for a text, asked or stored": bool(
            np.allclose(provider.embed_query(SELF_TEST[0]), rows[0], atol=1e-3)
        ),
        "like nearer than unlike": bool(rows[0] @ rows[1] > rows[0] @ rows[2] + 0.1),
    }
    broken = [promise for promise, kept in promises.items() if not kept]
    if broken:
        raise Misconfigured(
            "EMBEDDINGS_BROKEN",
            f"The embeddings of {provider.id} do not give {', '.join(broken)}.",
            fix="Install the requirements again, or choose another EMBEDDINGS_PROVIDER.",
            provider=provider.id,
        )
