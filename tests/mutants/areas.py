"""What is mutated, and which tests must find it."""

from dataclasses import dataclass

from tests.mutants.operators import ROOT


@dataclass(frozen=True, slots=True)
class Part:
    """Modules that the same tests concern. `modules` are patterns under the root, `tests` are paths for pytest."""

    name: str
    modules: tuple[str, ...]
    tests: tuple[str, ...]

    def paths(self) -> list[str]:
        """The files of this part, relative to the root."""
        found = {path for pattern in self.modules for path in ROOT.glob(pattern)}
        return sorted(str(path.relative_to(ROOT)) for path in found)


PARTS = {
    part.name: part
    for part in (
        Part(
            "policies",
            ("apps/policies/rules/*.py", "apps/policies/services/*.py"),
            ("tests/policies", "tests/properties/test_loosening.py"),
        ),
        Part("approvals", ("apps/approvals/services/*.py",), ("tests/approvals",)),
        Part("audit", ("apps/audit/rules/*.py", "apps/audit/services/*.py"), ("tests/audit",)),
        Part(
            "trades",
            ("apps/trades/rules/*.py", "apps/trades/services/**/*.py"),
            ("tests/trades", "tests/hooks"),
        ),
    )
}
