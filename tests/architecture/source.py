"""The product's own source, each file read once and parsed once."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent


@dataclass(frozen=True)
class Module:
    """One Python file of apps/ or config/. `where` is its path from the top, with slashes."""

    where: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """Parsed when it is first asked for."""
        return ast.parse(self.text, self.where)

    @property
    def parts(self) -> tuple[str, ...]:
        """("apps", "trades", "services", "orders") of apps/trades/services/orders.py."""
        return Path(self.where).with_suffix("").parts

    def walk(self) -> Iterator[ast.AST]:
        return ast.walk(self.tree)

    def imported(self) -> Iterator[str]:
        """Every module this one imports, and every name it imports from one, dotted."""
        for node in self.walk():
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom) and node.module:
                yield node.module
                yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def modules() -> tuple[Module, ...]:
    """All modules but migrations, which only move forward."""
    found = []
    for folder in ("apps", "config"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            where = path.relative_to(ROOT).as_posix()
            if "/migrations/" not in where:
                found.append(Module(where, path.read_text(encoding="utf-8")))
    return tuple(found)


def dotted(node: ast.AST) -> str:
    """ "timezone.now" of the expression `timezone.now`; "" for what is no plain name."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute) and (owner := dotted(node.value)):
        return f"{owner}.{node.attr}"
    return ""
