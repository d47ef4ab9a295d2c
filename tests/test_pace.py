"""What `make test` leaves to `.ci/run`."""

import ast

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
    assert [name for name in listed if not is_there(*name.split("::"))] == []
    assert not is_there("tests/test_pace.py", "test_nobody") and not is_there("tests/nowhere.py", "test_it")


def is_there(path: str, *names: str) -> bool:
    """Whether a file has this function, or this class with this method; one with a base may have it from there."""
    if not (pace.ROOT / path).is_file():
        return False
    body: list[ast.stmt] = ast.parse((pace.ROOT / path).read_text(encoding="utf-8")).body
    for name in names:
        found = next((node for node in body if getattr(node, "name", "") == name), None)
        if found is None:
            return False
        if isinstance(found, ast.ClassDef):
            if found.bases:
                return True
            body = found.body
    return True
