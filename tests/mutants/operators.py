"""What a mutant is: one comparison of a function turned into its neighbour. The list below is closed.

- `<` and `<=`, `>` and `>=`, `==` and `!=`, `in` and `not in`, `is` and `is not`, each for the other;
- `__lt` and `__lte`, `__gt` and `__gte` in the lookups that a query is asked with;
- `and` for `or`, `or` for `and`;
- `min` for `max`, `max` for `min`;
- a whole number that is compared with, or is an argument of `min` or `max`: one more, and one less.

Left out is what runs once, when a module is imported: constants, defaults, decorators, a class's own lines. A test sees
those already made, so a process that has imported them has nothing left to change.
"""

import ast
import functools
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import CodeType
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

COMPARISONS: dict[type[ast.cmpop], type[ast.cmpop]] = {
    ast.Lt: ast.LtE,
    ast.LtE: ast.Lt,
    ast.Gt: ast.GtE,
    ast.GtE: ast.Gt,
    ast.Eq: ast.NotEq,
    ast.NotEq: ast.Eq,
    ast.In: ast.NotIn,
    ast.NotIn: ast.In,
    ast.Is: ast.IsNot,
    ast.IsNot: ast.Is,
}
LOOKUPS = {"lt": "lte", "lte": "lt", "gt": "gte", "gte": "gt"}
EXTREMES = {"min": "max", "max": "min"}

_Function = ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda


@dataclass(frozen=True, slots=True)
class Mutant:
    """One change of one file. `key` names it by what it changes, so that moving lines does not rename it."""

    path: str
    function: str
    before: str
    after: str
    nth: int
    """1, or more where one function has the same change in several places."""
    index: int
    """Its place among the mutants of its file."""
    lines: tuple[int, ...]
    """The lines of which one runs when the changed expression does."""

    @property
    def key(self) -> str:
        """The name that the list of equivalent mutants and the report use."""
        again = f" (#{self.nth})" if self.nth > 1 else ""
        return f"{self.path}:{self.function}: {self.before} => {self.after}{again}"


@dataclass(frozen=True, slots=True)
class _Site:
    """A place in the tree: `node.field` becomes `value`. `shown` is the smallest expression that tells it."""

    function: str
    node: ast.AST
    field: str
    value: Any
    shown: ast.AST
    first_line: int


def mutants(path: str) -> list[Mutant]:
    """Every mutant of the file at `path`, which is relative to the root, in the order of its lines."""
    found = []
    seen: Counter[tuple[str, str, str]] = Counter()
    for index, site in enumerate(_sites(_tree(path))):
        before = ast.unparse(site.shown)
        with_change = _Changed(site)
        after = with_change.show()
        name = (site.function, before, after)
        seen[name] += 1
        node: Any = site.shown
        lines = tuple(sorted({site.first_line, *range(node.lineno, node.end_lineno + 1)}))
        found.append(Mutant(path, site.function, before, after, seen[name], index, lines))
    return found


def original_code(path: str) -> CodeType:
    """The file compiled as it is."""
    return _compiled(path, _tree(path))


def mutated_code(mutant: Mutant) -> CodeType:
    """The file compiled with that one change."""
    tree = _tree(mutant.path)
    return _Changed(_sites(tree)[mutant.index]).compile(mutant.path, tree)


class _Changed:
    """A site with its change in place for as long as it is looked at."""

    def __init__(self, site: _Site) -> None:
        self.site = site

    def show(self) -> str:
        """The expression as the mutant has it."""
        return self._with_change(lambda: ast.unparse(self.site.shown))

    def compile(self, path: str, tree: ast.Module) -> CodeType:
        """The whole file as the mutant has it."""
        return self._with_change(lambda: _compiled(path, tree))

    def _with_change(self, work: Any) -> Any:
        before = getattr(self.site.node, self.site.field)
        setattr(self.site.node, self.site.field, self.site.value)
        try:
            return work()
        finally:
            setattr(self.site.node, self.site.field, before)


def _compiled(path: str, tree: ast.Module) -> CodeType:
    return compile(tree, str(ROOT / path), "exec", dont_inherit=True)


@functools.cache
def _tree(path: str) -> ast.Module:
    return ast.parse((ROOT / path).read_text(encoding="utf-8"))


def _sites(tree: ast.Module) -> list[_Site]:
    walk = _Walk()
    walk.visit(tree)
    return walk.sites


class _Walk(ast.NodeVisitor):
    """Collects the sites inside functions. What a definition evaluates when it is made belongs to what is around it."""

    def __init__(self) -> None:
        self.sites: list[_Site] = []
        self.names: list[str] = []
        self.depth = 0
        self.statement_line = 0

    def visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.stmt):
            self.statement_line = node.lineno
        if isinstance(node, _Function):
            self._function(node)
        elif isinstance(node, ast.ClassDef):
            self._class(node)
        else:
            if self.depth:
                self.sites += [_Site(".".join(self.names), *change, self.statement_line) for change in _changes(node)]
            self.generic_visit(node)

    def _function(self, node: _Function) -> None:
        for made in (*getattr(node, "decorator_list", ()), *node.args.defaults, *filter(None, node.args.kw_defaults)):
            self.visit(made)
        self.names.append(getattr(node, "name", "<lambda>"))
        self.depth += 1
        for inside in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(inside)
        self.depth -= 1
        self.names.pop()

    def _class(self, node: ast.ClassDef) -> None:
        self.names.append(node.name)
        self.generic_visit(node)
        self.names.pop()


def _changes(node: ast.AST) -> Iterator[tuple[ast.AST, str, Any, ast.AST]]:
    """(node, field, new value, expression to show) for each change of this very node."""
    if isinstance(node, ast.Compare):
        for place, operator in enumerate(node.ops):
            swapped = [*node.ops]
            swapped[place] = COMPARISONS[type(operator)]()
            yield node, "ops", swapped, node
        yield from _neighbours([node.left, *node.comparators], node)
    elif isinstance(node, ast.BoolOp):
        yield node, "op", ast.Or() if isinstance(node.op, ast.And) else ast.And(), node
    elif isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in EXTREMES:
        yield node.func, "id", EXTREMES[node.func.id], node
        yield from _neighbours(node.args, node)
    elif isinstance(node, ast.keyword) and node.arg and node.arg.rpartition("__")[1]:
        field, _, lookup = node.arg.rpartition("__")
        if lookup in LOOKUPS:
            yield node, "arg", f"{field}__{LOOKUPS[lookup]}", node


def _neighbours(operands: list[ast.expr], shown: ast.AST) -> Iterator[tuple[ast.AST, str, Any, ast.AST]]:
    for operand in operands:
        number = operand.operand if isinstance(operand, ast.UnaryOp) else operand
        if isinstance(number, ast.Constant) and type(number.value) is int:
            for other in (number.value + 1, number.value - 1):
                yield number, "value", other, shown
