"""Provider `sentence_transformers`: a model from a local folder, such as MiniLM. Optional: needs torch."""

import math
from collections.abc import Sequence
from copy import deepcopy
from hashlib import sha256
from pathlib import Path

import numpy as np

from apps.common.errors import Misconfigured
from apps.lessons.embeddings import base
from apps.lessons.embeddings.parts import parts

BATCH = 32  # texts in the model at once: bounds memory, whatever the caller hands over


def unavailable(why: str, fix: str) -> Misconfigured:
    """The error of a model that cannot be loaded."""
    return Misconfigured("EMBEDDINGS_UNAVAILABLE", f"EMBEDDINGS_PROVIDER is sentence_transformers, and {why}.", fix=fix)


def digest_of(folder: Path) -> str:
    """SHA-256 of the model's weights, file by file."""
    total = sha256()
    for path in sorted([*folder.rglob("*.safetensors"), *folder.rglob("pytorch_model.bin")]):
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                total.update(block)
    return total.hexdigest()


class TransformerProvider:
    """A sentence-transformers model. It reads `max_tokens` word pieces and would silently leave out the rest: a longer
    text is read in parts, and its vector is the mean of theirs, each weighing as many pieces as it has."""

    id = "sentence_transformers"
    version = 2
    fit_free = True
    description = "A sentence model: finds the same thing said in other words. Slower, and large in memory."

    def __init__(self, model: str) -> None:
        """Load the folder `model`. Raises Misconfigured (EMBEDDINGS_UNAVAILABLE)."""
        if not model:
            raise unavailable("EMBEDDINGS_MODEL is empty", "Set EMBEDDINGS_MODEL to the folder of the model.")
        folder = Path(model)
        if not (folder / "modules.json").is_file():
            # A bare name would be looked up on a hub: Aika loads what lies on its own disk, or nothing.
            raise unavailable(
                f"there is no model in the folder {model}",
                "Set EMBEDDINGS_MODEL to a folder with a sentence-transformers model (it has a modules.json).",
            )
        try:
            from sentence_transformers import SentenceTransformer  # optional, and seconds to import
        except ImportError as error:
            raise unavailable(
                "the package sentence-transformers is not installed",
                "Install requirements/sentence_transformers.in, or set EMBEDDINGS_PROVIDER=static.",
            ) from error
        self._model = SentenceTransformer(str(folder), device="cpu", local_files_only=True)
        self.model = folder.resolve().name
        self.digest = digest_of(folder)
        # Its own, only ever asked in one way: the model's tokenizer is told to cut, and threads share it.
        self._counting = None if self.max_tokens is None else deepcopy(self._model.tokenizer)

    @property
    def dim(self) -> int:
        model = self._model  # the name changed with release 5 of the package
        found = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
        return int(found() or 0)

    @property
    def max_tokens(self) -> int | None:
        found = self._model.max_seq_length
        return int(found) if found and math.isfinite(found) else None

    def tokens(self, text: str) -> int:
        """How many word pieces the model reads for this text, its marks of beginning and end included; 0 where it reads
        any text whole."""
        if self._counting is None:
            return 0
        return len(self._counting(text, truncation=False, verbose=False)["input_ids"])

    def embed_documents(self, texts: Sequence[str]) -> base.Matrix:
        rows = np.zeros((len(texts), self.dim), dtype=np.float32)
        most = self.max_tokens or 0
        read = [(place, part) for place, text in enumerate(texts) for part in parts(text, count=self.tokens, most=most)]
        if read:
            places, said = zip(*read, strict=True)
            vectors = self._model.encode(list(said), batch_size=BATCH, convert_to_numpy=True, show_progress_bar=False)
            weights = [[max(self.tokens(part), 1)] for part in said]
            np.add.at(rows, list(places), base.normalised(vectors) * np.array(weights, dtype=np.float32))
        return base.normalised(rows)

    def embed_query(self, text: str) -> base.Vector:
        vector: base.Vector = self.embed_documents([text])[0]
        return vector

    def self_test(self) -> None:
        base.check(self)
