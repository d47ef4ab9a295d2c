"""The one reader of variables, and the one page that names them all."""

import re
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured

from config.env import Env

ROOT = Path(__file__).resolve().parents[2]
READ = re.compile(r"env\.(?:text|required|flag|integer|choice|words|url)\(\s*\"([A-Z_]+)\"", re.MULTILINE)
# Read by the tests' own settings only; nobody sets it by hand.
TESTS_ONLY = {"PYTEST_XDIST_WORKER"}
# Read by Django itself.
BY_DJANGO = {"DJANGO_SETTINGS_MODULE"}


def documented() -> dict[str, str]:
    """Variable -> the comment line above it in .env.example."""
    lines = (ROOT / ".env.example").read_text(encoding="utf-8").splitlines()
    return {
        line.partition("=")[0]: lines[number - 1] for number, line in enumerate(lines) if re.match(r"[A-Z_]+=", line)
    }


def read_by_config() -> set[str]:
    """Every variable that a module of config/ reads through the reader."""
    modules = (ROOT / "config").rglob("*.py")
    return {name for module in modules for name in READ.findall(module.read_text(encoding="utf-8"))}


def read_by_compose() -> set[str]:
    """Every variable that docker-compose.yml takes from outside."""
    return set(re.findall(r"\$\{([A-Z_]+)", (ROOT / "docker-compose.yml").read_text(encoding="utf-8")))


def test_each_variable_is_documented_and_each_documented_one_is_read() -> None:
    read = (read_by_config() - TESTS_ONLY) | read_by_compose() | BY_DJANGO

    assert set(documented()) == read


def test_each_variable_has_one_line_of_its_own() -> None:
    unexplained = [name for name, comment in documented().items() if not comment.startswith("# ")]

    assert not unexplained


def test_nobody_reads_the_environment_elsewhere() -> None:
    # setdefault of the settings module, and the bootstrap that runs before the reader can be imported.
    allowed = {"config/env.py", "config/bootstrap.py"}
    reading = re.compile(r"os\.(getenv\(|environ(?!\.setdefault\(\"DJANGO_SETTINGS_MODULE\"))")
    found = [
        str(path.relative_to(ROOT))
        for folder in ("apps", "config")
        for path in (ROOT / folder).rglob("*.py")
        if reading.search(path.read_text(encoding="utf-8"))
    ]

    assert [path for path in found if path not in allowed] == []


def test_a_value_is_read_and_stripped() -> None:
    assert Env({"NAME": " value\n"}).text("NAME") == "value"
    assert Env({}).text("NAME", "default") == "default"


def test_a_secret_may_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "secret"
    path.write_text("from the file\n", encoding="utf-8")

    assert Env({"NAME_FILE": str(path)}).required("NAME") == "from the file"


@pytest.mark.parametrize(
    ("source", "read"),
    [
        ({}, lambda env: env.required("NAME")),
        ({"NAME": "  "}, lambda env: env.required("NAME")),
        ({"NAME": "a", "NAME_FILE": "/b"}, lambda env: env.text("NAME")),
        ({"NAME_FILE": "/does/not/exist"}, lambda env: env.text("NAME")),
        ({"NAME": "maybe"}, lambda env: env.flag("NAME", default=True)),
        ({"NAME": "Trueish"}, lambda env: env.flag("NAME", default=False)),
        ({"NAME": "-1"}, lambda env: env.integer("NAME", default=1, minimum=0, maximum=9)),
        ({"NAME": "10"}, lambda env: env.integer("NAME", default=1, minimum=0, maximum=9)),
        ({"NAME": "1.0"}, lambda env: env.integer("NAME", default=1, minimum=0, maximum=9)),
        ({"NAME": "٣"}, lambda env: env.integer("NAME", default=1, minimum=0, maximum=9)),
        ({"NAME": "other"}, lambda env: env.choice("NAME", default="a", choices=frozenset({"a"}))),
        ({"NAME": "mysql://x"}, lambda env: env.url("NAME", schemes=frozenset({"postgres"}))),
    ],
)  # fmt: skip
def test_a_bad_value_is_refused_by_the_name_of_its_variable(source, read) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(ImproperlyConfigured, match="NAME"):
        read(Env(source))


def test_a_refused_url_is_not_repeated_because_it_may_hold_a_password() -> None:
    with pytest.raises(ImproperlyConfigured) as refusal:
        Env({"NAME": "mysql://user:hunter2@host"}).url("NAME", schemes=frozenset({"postgres"}))

    assert "hunter2" not in str(refusal.value)


@pytest.mark.parametrize(("text", "expected"), [("1", True), ("YES", True), ("on", True), ("0", False), ("No", False)])
def test_a_flag_is_yes_or_no(text: str, expected: bool) -> None:
    assert Env({"NAME": text}).flag("NAME", default=not expected) is expected


def test_a_list_is_separated_by_commas_or_blanks() -> None:
    assert Env({"NAME": "a, b c"}).words("NAME") == ("a", "b", "c")
    assert Env({}).words("NAME", default=("d",)) == ("d",)
