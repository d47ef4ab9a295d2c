"""The import contracts of pyproject.toml hold, and what is imported late says why."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.architecture.source import ROOT, Module, modules


def test_the_import_contracts_are_kept() -> None:
    command = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([command, "--no-cache"], cwd=ROOT, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def late(module: Module) -> Iterator[tuple[int, int]]:
    """(line of the function, line of the import) for each import of ours inside a function."""
    for function in module.walk():
        if isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            for node in ast.walk(function):
                named = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                named += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
                if any(name.partition(".")[0] in {"apps", "config"} for name in named):
                    yield function.lineno, getattr(node, "lineno", 0)


def test_an_import_inside_a_function_says_why_it_is_there() -> None:
    found = {
        f"{module.where}:{at}": any(line.strip().startswith("#") for line in module.text.splitlines()[began : at - 1])
        for module in modules()
        for began, at in late(module)
    }
    assert any(where.startswith("config/asgi.py:") for where in found), "what is late is found"
    assert [where for where, is_explained in found.items() if not is_explained] == []
