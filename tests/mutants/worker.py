"""One process of `python -m tests.mutants`: records a share of a part's tests, then judges a share of its mutants.

Started by it only, with the file that says what to do as the one argument. Writes what its tests ran beside that file,
waits for what the others write there, and answers in JSON lines.
"""

import json
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tests.mutants.operators import mutants
from tests.mutants.session import Record, Session, Unclean, run

# For the others to have recorded their share, on a machine that does much else besides.
WAIT_S = 3600


def main(request: Path) -> int:
    """0, or 1 after a text on the standard error that says what went wrong."""
    asked: dict[str, Any] = json.loads(request.read_text(encoding="utf-8"))
    folder, share, of = request.parent, asked["share"], asked["of"]
    wanted = set(asked["keys"])
    chosen = [mutant for path in asked["paths"] for mutant in mutants(path) if mutant.key in wanted]

    def work(session: Session) -> None:
        if not (folder / f"record-{share}.json").exists():
            own = session.record(asked["paths"], share, of)
            unready = folder / f"unready-{share}"
            unready.write_text(json.dumps(asdict(own)), encoding="utf-8")
            unready.rename(folder / f"record-{share}.json")
        record = Record.together(_read(folder / f"record-{each}.json") for each in range(of))
        with (folder / f"verdicts-{share}.jsonl").open("a", encoding="utf-8", buffering=1) as answer:
            for verdict in session.judge(chosen[share::of], record):
                answer.write(json.dumps(asdict(verdict)) + "\n")

    log = folder / f"pytest-{share}.log"
    try:
        run(asked["tests"], work, log)
    except (Unclean, LookupError) as error:
        sys.stderr.write(f"{error}\nThe end of what pytest printed:\n{log.read_text(encoding='utf-8')[-2000:]}\n")
        return 1
    return 0


def _read(path: Path) -> Record:
    until = time.monotonic() + WAIT_S
    while not path.exists():
        if time.monotonic() > until:
            raise Unclean(f"No {path.name} after {WAIT_S} s")
        time.sleep(0.05)
    return Record(**json.loads(path.read_text(encoding="utf-8")))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
