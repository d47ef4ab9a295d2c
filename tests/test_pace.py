"""What `make test` leaves to `.ci/run`."""

import ast
from functools import cache

from tests import pace


def test_the_costliest_are_left_out_until_the_rest_takes_its_share() -> None:
    took = {"a.py::one[1]": 1.0, "a.py::one[2]": 1.0, "a.py::two": 3.0, "b.py::three": 15.0}
    assert pace.costly(took, share=0.25) == ["b.py::three"]
    assert pace.costly(took, share=0.1) == ["a.py::two", "b.py::three"]
    assert pace.costly(took, share=1.0) == []


def test_many_cheap_cases_of_one_function_stay_before_one_dear_test() -> None:
    took = {**{f"a.py::many[{number}]": 0.1 for number in range(50)}, "a.py::dear": 5.0}
    assert pace.costly(took, share=0.5) == ["a.py::dear"]


def test_each_that_is_listed_is_there() -> None:
    """Run python -m tests.pace where one was renamed."""
    listed = sorted(pace.thorough())
    assert listed
    assert [name for name in listed if name not in names_in(name.partition("::")[0])] == []


@cache
def names_in(path: str) -> frozenset[str]:
    """Every test of a file as pytest names it."""
    if not (pace.ROOT / path).is_file():
        return frozenset()
    tree = ast.parse((pace.ROOT / path).read_text(encoding="utf-8"))
    groups = [(path, tree.body)] + [
        (f"{path}::{node.name}", node.body) for node in tree.body if isinstance(node, ast.ClassDef)
    ]
    return frozenset(
        f"{where}::{node.name}"
        for where, body in groups
        for node in body
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    )
