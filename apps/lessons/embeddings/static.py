"""Provider `static`: a word vector for each piece of a word, averaged. WordLlama's weights, read from its wheel.

Only two files of the installed package are read; none of its code is imported (its own loader asks the network). No
model runs: a text costs a look-up in a table of 32,000 rows.
"""

from collections.abc import Sequence
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import numpy as np

from apps.common.errors import Misconfigured
from apps.lessons.embeddings import base

PACKAGE = "wordllama"
WEIGHTS = Path("weights") / "l2_supercat_256.safetensors"
TOKENIZER = Path("tokenizers") / "l2_supercat_tokenizer_config.json"
TABLE = "embedding.weight"


def folder() -> Path:
    """Where the wheel's files are. Raises Misconfigured (EMBEDDINGS_UNAVAILABLE)."""
    spec = find_spec(PACKAGE)
    places = [Path(place) for place in (spec.submodule_search_locations or ())] if spec else []
    for place in places:
        if (place / WEIGHTS).is_file() and (place / TOKENIZER).is_file():
            return place
    raise Misconfigured(
        "EMBEDDINGS_UNAVAILABLE",
        "EMBEDDINGS_PROVIDER is static, and the package that carries its weights is not installed.",
        fix="Install requirements/base.txt again (it brings wordllama), or set EMBEDDINGS_PROVIDER=hash.",
    )


class StaticProvider:
    """Averaged word vectors. Meaning across other words, to a degree; no order of words, no negation."""

    id = "static"
    model = "wordllama-l2-supercat-256"
    version = 1
    max_tokens: int | None = None
    fit_free = True
    description = "Averaged word vectors: finds the same thing said in related words. Blind to negation and word order."

    def __init__(self) -> None:
        """Read the table and the tokenizer. Raises Misconfigured (EMBEDDINGS_UNAVAILABLE)."""
        from safetensors.numpy import load_file  # heavy, and only this provider needs them
        from tokenizers import Tokenizer

        place = folder()
        content = (place / WEIGHTS).read_bytes()
        self.digest = sha256(content).hexdigest()
        self._table = load_file(place / WEIGHTS)[TABLE].astype(np.float32)
        self._tokenizer = Tokenizer.from_file(str(place / TOKENIZER))
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()

    @property
    def dim(self) -> int:
        return int(self._table.shape[1])

    def embed_documents(self, texts: Sequence[str]) -> base.Matrix:
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        for row, text in zip(rows, texts, strict=True):
            # One by one: the tokenizer's batches start threads, which do not survive a worker's fork.
            ids = self._tokenizer.encode(text.strip(), add_special_tokens=False).ids
            if ids:
                row[:] = self._table[ids].mean(axis=0)
        return base.normalised(rows)

    def embed_query(self, text: str) -> base.Vector:
        vector: base.Vector = self.embed_documents([text])[0]
        return vector

    def self_test(self) -> None:
        base.check(self)
