"""What a verification found."""

from dataclasses import dataclass, field

from apps.audit.types import Result

FINDINGS_MAX = 1000


@dataclass(frozen=True)
class Finding:
    """One place where the log disagrees with itself, with a checkpoint or with an anchor."""

    code: str
    where: str
    message: str

    def __str__(self) -> str:
        return f"{self.code} at {self.where}: {self.message}"


@dataclass
class Report:
    """What a verification saw. `findings` are signs of tampering; `incomplete` is what kept it from vouching.

    `unsealed` counts the events that no checkpoint covers yet: whoever owns the database can still cut those off
    unseen. None where seals were not looked at. `part` says what was not looked at; empty for the whole log.
    """

    events: int = 0
    streams: int = 0
    checkpoints: int = 0
    anchored: int = 0
    unsealed: int | None = None
    findings: list[Finding] = field(default_factory=list)
    incomplete: list[str] = field(default_factory=list)
    cut_off: bool = False
    part: str = ""
    # False where the log's own tables are not what this code knows.
    readable: bool = True

    @property
    def result(self) -> Result:
        """Tampered where anything was found, else incomplete where anything could not be looked at."""
        return Result.TAMPERED if self.findings else Result.INCOMPLETE if self.incomplete else Result.INTACT

    @property
    def exit_code(self) -> int:
        """0 intact, 1 tampered, 2 incomplete."""
        return {Result.INTACT: 0, Result.TAMPERED: 1, Result.INCOMPLETE: 2}[self.result]

    def add(self, code: str, where: str, message: str) -> None:
        """One more finding; beyond 1,000 they are only known to be more."""
        if len(self.findings) >= FINDINGS_MAX:
            self.cut_off = True
        else:
            self.findings.append(Finding(code, where, message))
