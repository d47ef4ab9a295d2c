"""Every provider keeps the same promises; one that cannot load is an error at start."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from django.conf import settings
from django.core.checks import run_checks
from hypothesis import given
from hypothesis import strategies as st

from apps.common.errors import Misconfigured
from apps.lessons import embeddings
from apps.lessons.embeddings import base, hashing
from apps.lessons.embeddings.hashing import HashProvider
from apps.lessons.embeddings.parts import parts
from apps.lessons.embeddings.transformer import TransformerProvider
from config import start

ROOT = Path(__file__).resolve().parent.parent.parent
TEXTS = ("Kept adding to a loser.", "", "The order was ten times too large!", "   ", "Kept adding to a loser.")
# The optional provider takes part where a model is at hand.
AVAILABLE = ("hash", "static", *(("sentence_transformers",) if settings.EMBEDDINGS_MODEL else ()))


@pytest.fixture(params=AVAILABLE)
def provider(request: pytest.FixtureRequest) -> embeddings.EmbeddingProvider:
    return embeddings.provider_named(request.param)


def test_rows_have_length_one_and_nothing_to_embed_is_zeros(provider: embeddings.EmbeddingProvider) -> None:
    rows = provider.embed_documents(TEXTS)
    assert rows.shape == (len(TEXTS), provider.dim)
    assert rows.dtype == np.float32
    assert np.linalg.norm(rows, axis=1) == pytest.approx([1, 0, 1, 0, 1], abs=1e-4)


def test_a_text_has_one_vector_whoever_is_beside_it(provider: embeddings.EmbeddingProvider) -> None:
    many = provider.embed_documents([*TEXTS, *(f"Some other text about {word}." for word in "abcdefgh")] * 40)
    assert provider.embed_documents(TEXTS) == pytest.approx(many[: len(TEXTS)], abs=1e-4)
    assert provider.embed_query(TEXTS[0]) == pytest.approx(many[0], abs=1e-4)
    assert provider.fit_free


def test_many_texts_come_back_in_their_order(provider: embeddings.EmbeddingProvider) -> None:
    texts = [f"word{'x' * (number % 7)} {'stop' if number % 2 else 'corn'}" for number in range(259)]
    rows = provider.embed_documents(texts)
    for place in (0, 31, 32, 255, 256, 258):
        assert rows[place] == pytest.approx(provider.embed_query(texts[place]), abs=1e-4)


def test_a_text_longer_than_it_reads_at_once_is_read_to_its_end(provider: embeddings.EmbeddingProvider) -> None:
    begins = "Corn contracts expire on Tuesday morning. " * ((provider.max_tokens or 256) // 7 + 1)
    ends = "The stop was moved away and the loss grew. " * ((provider.max_tokens or 256) // 7 + 1)
    begun, whole, end = provider.embed_documents([begins, begins + ends, ends])
    assert whole @ begun < 0.99, "what comes after the beginning is in the vector"
    assert whole @ end > begun @ end + 0.1
    assert provider.embed_query(begins + ends) == pytest.approx(whole, abs=1e-4)


class ReadsEightWords:
    """A sentence model at the edge of the package that carries it: it leaves out what follows eight words."""

    max_seq_length = 8

    def __init__(self, folder: str, **_: object) -> None:
        self.longest = 0

    def tokenizer(self, text: str, **_: object) -> dict[str, list[str]]:
        return {"input_ids": text.split()}

    def get_embedding_dimension(self) -> int:
        return hashing.DIM

    def encode(self, texts: list[str], **_: object) -> base.Matrix:
        self.longest = max([self.longest, *(len(text.split()) for text in texts)])
        return HashProvider().embed_documents([" ".join(text.split()[:8]) for text in texts])


@pytest.fixture
def cutting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> TransformerProvider:
    (tmp_path / "modules.json").write_text("[]")
    package = ModuleType("sentence_transformers")
    package.SentenceTransformer = ReadsEightWords  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "sentence_transformers", package)
    return TransformerProvider(str(tmp_path))


def test_a_model_that_cuts_is_handed_only_what_it_reads(cutting: TransformerProvider) -> None:
    words = [f"{one}{two}z" for one in "abcdefghij" for two in "klmnopq"]
    text = " ".join(words)
    row = cutting.embed_query(text)
    assert cutting.max_tokens == 8
    assert cutting._model.longest <= 8
    assert all(row @ HashProvider().embed_query(word) > 0.01 for word in words), "each word is in it, the last too"
    assert np.linalg.norm(row) == pytest.approx(1, abs=1e-4)
    rows = cutting.embed_documents([text, " ", "two words"])
    assert rows[0] == pytest.approx(row, abs=1e-5)
    assert not rows[1].any()
    assert rows[2] == pytest.approx(HashProvider().embed_query("two words"), abs=1e-5)


def test_a_part_weighs_as_much_as_it_has(cutting: TransformerProvider) -> None:
    long, short = "alpha beta gamma delta epsilon zeta eta theta", "iota"
    row = cutting.embed_query(f"{long} {short} " + " " * 40)
    assert row @ HashProvider().embed_query(long) > row @ HashProvider().embed_query(short) > 0


@given(st.text(alphabet=" \nab中", max_size=120), st.integers(1, 30))
def test_parts_are_the_text_and_none_is_too_long(text: str, most: int) -> None:
    found = list(parts(text, count=len, most=most))
    words = [word for part in found for word in part.split()]
    # Shorter ones leave a blank in the middle half of every text that has to be cut.
    safe = 2 * ((most + 1) // 4)
    assert words == text.split() or any(len(word) >= safe for word in text.split())
    assert "".join("".join(found).split()) == "".join(text.split())
    assert all(0 < len(part) <= most for part in found)
    assert all(part.strip() for part in found)


def test_a_text_is_cut_between_words_and_in_the_middle() -> None:
    assert list(parts("one two three four five", count=lambda text: len(text.split()), most=3)) == [
        "one two three",
        " four five",
    ]
    assert list(parts("中" * 10, count=len, most=5)) == ["中" * 5, "中" * 5]


def test_no_text_is_no_row(provider: embeddings.EmbeddingProvider) -> None:
    assert provider.embed_documents([]).shape == (0, provider.dim)


def test_the_self_test_passes_and_the_provider_says_what_it_does(provider: embeddings.EmbeddingProvider) -> None:
    provider.self_test()
    assert provider.description


@given(st.text(max_size=200))
@pytest.mark.parametrize("name", ["hash", "static"])
def test_any_text_is_embedded_to_length_one_or_zero(name: str, text: str) -> None:
    length = float(np.linalg.norm(embeddings.provider_named(name).embed_query(text)))
    assert length == pytest.approx(1, abs=1e-3) or length == 0


def test_hash_reads_no_numbers_and_says_that_it_is_keyword_match() -> None:
    provider = embeddings.provider_named("hash")
    assert not provider.embed_query("1234.5 99").any()
    assert provider.embed_query("stop at 101.25") == pytest.approx(provider.embed_query("stop at 7"))
    assert provider.description.startswith("Keyword match")


def test_static_finds_related_words_where_hash_finds_none() -> None:
    asked, same, other = "Stocks fell.", "Equities declined.", "Corn contracts expire on Tuesday."
    for name, sees in (("static", True), ("hash", False)):
        provider = embeddings.provider_named(name)
        rows = provider.embed_documents([same, other])
        near, far = rows @ provider.embed_query(asked)
        assert bool(near > far + 0.1) is sees


def test_a_space_is_named_by_all_that_changes_its_vectors() -> None:
    by_hash, static = (embeddings.provider_named(name) for name in ("hash", "static"))
    names = {embeddings.space_name(one, version) for one in (by_hash, static) for version in (1, 2)}
    assert len(names) == 4
    assert all(len(name) <= embeddings.SPACE_NAME_MAX for name in names)
    assert embeddings.fingerprint(by_hash) != embeddings.fingerprint(static)
    assert embeddings.fingerprint(static) == embeddings.fingerprint(embeddings.provider_named("static"))


def test_a_provider_that_gives_rubbish_fails_its_self_test() -> None:
    class Rubbish(type(embeddings.provider_named("hash"))):  # type: ignore[misc]
        def embed_documents(self, texts: list[str]) -> base.Matrix:
            return np.ones((len(texts), self.dim), dtype=np.float32)

    with pytest.raises(Misconfigured) as refused:
        Rubbish().self_test()
    assert refused.value.code == "EMBEDDINGS_BROKEN"
    assert "zeros for an empty text" in refused.value.message


@pytest.mark.parametrize(
    ("model", "says"), [("", "EMBEDDINGS_MODEL is empty"), ("all-MiniLM-L6-v2", "no model in the folder")]
)
def test_a_model_that_is_not_there_is_an_error_at_start(settings: object, model: str, says: str) -> None:
    settings.EMBEDDINGS_PROVIDER, settings.EMBEDDINGS_MODEL = "sentence_transformers", model  # type: ignore[attr-defined]
    (found,) = run_checks(tags=["lessons"])
    assert found.id == "lessons.E001"
    assert says in found.msg
    assert "EMBEDDINGS_MODEL" in (found.hint or "")


def test_the_optional_package_that_is_missing_is_named_with_the_fix(settings: object, tmp_path: Path) -> None:
    (tmp_path / "modules.json").write_text("[]")
    settings.EMBEDDINGS_PROVIDER, settings.EMBEDDINGS_MODEL = "sentence_transformers", str(tmp_path)  # type: ignore[attr-defined]
    if "sentence_transformers" in AVAILABLE:
        pytest.skip("the optional package is installed here")
    (found,) = run_checks(tags=["lessons"])
    assert "not installed" in found.msg
    assert "requirements/sentence_transformers.in" in (found.hint or "")


def test_static_without_its_weights_is_an_error_and_no_other_provider_stands_in() -> None:
    code = (
        "import importlib.util as u; real=u.find_spec; "
        "u.find_spec=lambda n,p=None: None if n=='wordllama' else real(n,p); "
        "import django; django.setup(); from django.core.checks import run_checks; "
        "print([(m.id, m.hint) for m in run_checks(tags=['lessons'])])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        env={"DJANGO_SETTINGS_MODULE": "config.settings.test", "EMBEDDINGS_PROVIDER": "static", "PATH": ""},
    )
    assert "lessons.E001" in ended.stdout
    assert "EMBEDDINGS_PROVIDER=hash" in ended.stdout


def started(*command: str, **variables: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        [sys.executable, *command],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"DJANGO_SETTINGS_MODULE": "config.settings.test", "PATH": "", **variables},
    )


DOORS = {
    "gunicorn": (
        "-m",
        "gunicorn",
        "config.wsgi:application",
        "--config",
        "config/gunicorn.py",
        "--bind",
        "127.0.0.1:0",
        "--workers",
        "1",
    ),
    "uvicorn": ("-m", "uvicorn", "config.asgi:application", "--port", "0"),
    "celery": ("-m", "celery", "-A", "config", "worker", "--pool", "solo", "--queues", "default"),
}


@pytest.mark.slow
@pytest.mark.parametrize("door", DOORS)
def test_no_server_and_no_worker_starts_with_embeddings_that_do_not_load(door: str, tmp_path: Path) -> None:
    missing = {"EMBEDDINGS_PROVIDER": "sentence_transformers", "EMBEDDINGS_MODEL": str(tmp_path / "gone")}
    ended = started(*DOORS[door], **missing)
    assert ended.returncode == start.EXIT_CODE, ended.stderr
    (line,) = [line for line in ended.stderr.splitlines() if "lessons.E001" in line]
    assert "there is no model in the folder" in line
    assert "Traceback" not in ended.stderr


@pytest.mark.slow
def test_with_embeddings_that_load_each_of_them_goes_on() -> None:
    code = (
        "import config.wsgi, config.asgi, config.celery; from celery.signals import worker_init; "
        "worker_init.send(sender=None); print('started')"
    )
    ended = started("-c", code, EMBEDDINGS_PROVIDER="hash")
    assert (ended.returncode, ended.stdout.strip()) == (0, "started"), ended.stderr


def test_nothing_of_the_package_that_carries_the_weights_is_imported() -> None:
    embeddings.provider_named("static")
    assert "wordllama" not in sys.modules


@pytest.mark.parametrize("name", ["hash", "static"])
def test_the_chosen_provider_starts(settings: object, name: str) -> None:
    settings.EMBEDDINGS_PROVIDER = name  # type: ignore[attr-defined]
    assert run_checks(tags=["lessons"]) == []
    assert embeddings.provider() is embeddings.provider_named(name)
