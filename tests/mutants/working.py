"""Hands a part to several processes, and puts together what they answer."""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.mutants.areas import Part
from tests.mutants.operators import ROOT, Mutant
from tests.mutants.session import Unclean, Verdict


def judged(part: Part, chosen: Sequence[Mutant], processes: int) -> dict[str, Verdict]:
    """key -> verdict for each of the mutants. Raises Unclean where a test fails without one."""
    with tempfile.TemporaryDirectory(prefix="aika-mutants-") as folder:
        return judged_in(Path(folder), part, chosen, processes)


def judged_in(folder: Path, part: Part, chosen: Sequence[Mutant], processes: int) -> dict[str, Verdict]:
    """The same, with what was recorded and found kept in `folder`: a run that was ended there goes on."""
    folder.mkdir(parents=True, exist_ok=True)
    judged_before = kept(folder)
    left = [mutant for mutant in chosen if mutant.key not in judged_before]
    workers = [_start(part, left, folder, share, processes) for share in range(processes if left else 0)]
    try:
        troubles = [worker.communicate()[1] for worker in workers]
    finally:
        for worker in workers:
            worker.terminate()
    if any(worker.returncode for worker in workers):
        raise Unclean("\n".join(filter(None, troubles)))
    verdicts = kept(folder)
    return {mutant.key: verdicts[mutant.key] for mutant in chosen}


def kept(folder: Path) -> dict[str, Verdict]:
    """key -> verdict of what was judged with this folder until now."""
    lines = [line for each in folder.glob("verdicts-*.jsonl") for line in each.read_text("utf-8").splitlines()]
    return {verdict.key: verdict for verdict in (Verdict(**json.loads(line)) for line in lines)}


def _start(part: Part, chosen: Sequence[Mutant], folder: Path, share: int, of: int) -> subprocess.Popen[str]:
    asked = {
        "paths": sorted({mutant.path for mutant in chosen}),
        "keys": [mutant.key for mutant in chosen],
        "tests": part.tests,
        "share": share,
        "of": of,
    }
    (folder / f"asked-{share}.json").write_text(json.dumps(asked), encoding="utf-8")
    # Always on SQLite: a memory database is copied with the process, a server's would be shared.
    environment = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
    return subprocess.Popen(
        [sys.executable, "-m", "tests.mutants.worker", str(folder / f"asked-{share}.json")],
        cwd=ROOT,
        env=environment,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )
