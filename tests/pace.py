"""`python -m tests.pace`: which tests are thorough, and so left to .ci/run, by what they took here.

Times of one machine say little of another, what a test takes beside the others says much: the cheapest functions that
together take `SHARE` of the time stay with `make test`, and the rest is written to tests/thorough.txt.
"""

import sys
from collections import defaultdict
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
LIST = ROOT / "tests" / "thorough.txt"
SHARE = 0.2
HEAD = """\
# Tests that make test leaves to .ci/run: the costliest ones. Written by python -m tests.pace.
"""


class Stopwatch:
    """A plugin of pytest: what each test took, with its fixtures."""

    def __init__(self) -> None:
        self.took: dict[str, float] = defaultdict(float)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self.took[report.nodeid] += report.duration


def function_of(nodeid: str) -> str:
    """The test without its parameters."""
    return nodeid.partition("[")[0]


def thorough() -> frozenset[str]:
    """What is written there."""
    lines = LIST.read_text(encoding="utf-8").splitlines()
    return frozenset(line for line in lines if line and not line.startswith("#"))


def costly(took: dict[str, float], share: float = SHARE) -> list[str]:
    """The functions that are left out, so that those kept take at most this share of the time; sorted."""
    by_function: dict[str, list[float]] = defaultdict(list)
    for nodeid, seconds in took.items():
        by_function[function_of(nodeid)].append(seconds)
    left = sum(took.values()) * share
    found = []
    for function, each in sorted(by_function.items(), key=lambda item: (sum(item[1]) / len(item[1]), item[0])):
        left -= sum(each)
        if left < 0:
            found.append(function)
    return sorted(found)


def main() -> int:
    """The exit code of pytest. The list is written all the same: one that fails took its time too."""
    stopwatch = Stopwatch()
    words = ["-n", "2", "-m", "not postgres and not browser and not slow", "--ignore=tests/browser"]
    code = int(pytest.main(words, plugins=[stopwatch]))
    found = costly(stopwatch.took)
    LIST.write_text(HEAD + "".join(f"{function}\n" for function in found), encoding="utf-8")
    sys.stdout.write(f"{len(found)} functions of tests are thorough; see {LIST.relative_to(ROOT)}.\n")
    return code


if __name__ == "__main__":
    sys.exit(main())
