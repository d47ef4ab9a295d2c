"""docs/agents.md, run as it stands there against a server on a socket: the key, curl, the client, and a denial."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.utils import timezone
from pytest_django.live_server_helper import LiveServer

from apps.dashboard.rules import demo_past
from apps.dashboard.services import demo
from apps.trades.models import Proposal
from tests.venues.simulator_process import SimulatorProcess

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("curl"), reason="needs curl"),
]

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "agents.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
CLIENT = re.findall(r"```bash client\n(.*?)```", PAGE, re.DOTALL)
PROGRAM = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
HERE = "http://localhost:8000"
# ETH costs some 3,000 USD: 4.5 are beyond the demo's limit, and within what its account can pay for.
PRICE = "3000"


class Reader:
    """Somebody who follows the page in a folder of their own, in one shell."""

    def __init__(self, folder: Path, server: str) -> None:
        self.folder, self.server = folder, server

    def follow(self, *commands: str) -> str:
        """What they see; fails where a command does."""
        script = "\n".join(commands).replace(HERE, self.server)
        env = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": str(self.folder)}
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=self.folder, env=env, capture_output=True, text=True,
            timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    def kept(self, name: str) -> Any:
        """What a command wrote into a file."""
        return json.loads((self.folder / name).read_text(encoding="utf-8"))


@pytest.fixture
def reader(
    transactional_db: None, simulator: SimulatorProcess, live_server: LiveServer, tmp_path: Path
) -> Iterator[Reader]:
    cache.clear()
    simulator.pin_price("ETH-USD", PRICE)
    (tmp_path / "var").mkdir()
    venue = demo.SimulatedVenue(url=simulator.url, key_name=simulator.key_name, secret=simulator.secret)
    made = demo.seed(venue=venue, url=live_server.url, file=tmp_path / "var" / "demo.json", clock=timezone.now)
    assert made == []
    yield Reader(tmp_path, live_server.url)


def test_from_a_key_to_an_accepted_proposal_with_curl(reader: Reader) -> None:
    seen = reader.follow(*COMMANDS)

    assert reader.kept("answer.json")["state"] == "DENIED"
    assert reader.kept("answer.json")["decision"]["codes"] == ["MAX_ORDER_NOTIONAL"]
    assert f"DENIED MAX_ORDER_NOTIONAL {reader.kept('answer.json')['decision']['remedy']['sentence']}" in seen
    accepted = reader.kept("accepted.json")
    assert (accepted["state"], accepted["supersedes"]) == ("AWAITING_APPROVAL", reader.kept("answer.json")["id"])
    assert f"AWAITING_APPROVAL {accepted['id']} {accepted['links']['page']}" in seen
    # What was learned is shown beside it, and then it is taken back.
    assert accepted["decision"]["tier"]["needed"] == 3
    assert demo_past.NO_STOP.next_time in {one["next_time"] for one in accepted["lessons"]["results"]}
    assert f" | {demo_past.NO_STOP.next_time}\n" in seen
    assert '"answer":"WITHDRAWN"' in seen
    assert Proposal.objects.get(pk=accepted["id"]).state == "WITHDRAWN"


@pytest.mark.slow
def test_from_a_key_to_an_accepted_proposal_with_the_generated_client(reader: Reader) -> None:
    (reader.folder / "first.py").write_text(PROGRAM[0], encoding="utf-8")

    seen = reader.follow(COMMANDS[0], *CLIENT)

    # The generator took the whole schema: a warning of it would be a piece that is missing.
    assert "Warning" not in seen
    assert "DENIED MAX_ORDER_NOTIONAL\n" in seen
    made = Proposal.objects.latest("created_at")
    assert f"AWAITING_APPROVAL /admin/decide/{made.pk}/" in seen
    assert (made.state, made.rationale) == ("AWAITING_APPROVAL", "The first proposal of a new program.")
    assert made.supersedes is not None and made.supersedes.state == "DENIED"
    folder = reader.folder / "aika-client" / "aika_client"
    assert (folder / "py.typed").exists()
    generated = {file.stem for file in folder.glob("api/*/*.py")}
    assert operations(reader) <= generated


def operations(reader: Reader) -> set[str]:
    """What the schema calls its operations."""
    schema = json.loads(reader.follow(f"curl -s {HERE}/api/v1/schema"))
    verbs = [verb for path in schema["paths"].values() for name, verb in path.items() if name != "parameters"]
    return {verb["operationId"] for verb in verbs}
