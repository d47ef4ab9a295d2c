"""docs/knowledge.md, run as it stands there beside the desk of `make run`: taken in, embedded by its worker, asked."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "knowledge.md").read_text(encoding="utf-8")
COMMANDS = dict(re.findall(r"```bash (\w+)\n(.*?)```", PAGE, re.DOTALL))
ASKED_MAX = 120


class Reader:
    """Somebody who follows the page, in a folder of their own."""

    def __init__(self, folder: Path, variables: dict[str, str]) -> None:
        self.folder, self.variables = folder, variables

    def follow(self, name: str) -> str:
        """What the block of this name prints; fails where a command does."""
        script = COMMANDS[name].replace("http://localhost:8000", self.variables["ADDRESS"])
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script.replace("python manage.py", f"python {ROOT}/manage.py")],
            cwd=self.folder, env=self.variables, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def asked(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(self.follow("ask"))
        return answer


def test_every_command_of_the_page_is_followed_here() -> None:
    assert set(COMMANDS) == {"files", "prune", "api", "task", "ask"}
    assert "```bash\n" not in PAGE


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("make")), reason="needs curl and make")
def test_a_reader_takes_documents_in_and_finds_one_by_meaning(demo_desk: dict[str, str], tmp_path: Path) -> None:
    reader = Reader(tmp_path, demo_desk)
    assert "2 added" in reader.follow("files")
    assert "2 unchanged" in reader.follow("files")
    assert "removed file:" in reader.follow("prune")
    taken = json.loads(reader.follow("api"))
    assert [(one["id"], one["outcome"]) for one in taken["items"]] == [("post-mortem-7", "ADDED")]
    reader.follow("task")

    found: dict[str, Any] = {"items": []}
    for _ in range(ASKED_MAX):
        found = reader.asked()
        if found["items"]:
            break
        time.sleep(1)
    assert (found["provider"], found["degraded"]) == ("static", False)
    first = found["items"][0]
    assert first["external_id"] == "post-mortem-7"
    # By meaning alone: no word of the question stands in it.
    assert float(first["components"]["meaning"]) >= 0.35
    assert float(first["components"]["keywords"]) == 0
    # The citation is the place of these very characters.
    text = "Equities tumbled overnight and opened far below our exit price."
    assert (first["text"], first["version"]) == (text[first["start"] : first["end"]], 1)
    assert "file:" not in {one["external_id"][:5] for one in found["items"]}, "it speaks of another thing"
