"""The demo's OAuth application: one for a data folder, for nobody else to read, and second to one that somebody set."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from config import demo_application

ROOT = Path(__file__).resolve().parents[2]
URL = "http://localhost:8000"


def scopes_and_id(home: Path, **environment: str) -> str:
    """What `manage.py` on that folder would use."""
    command = "from config.settings import local as s; print(s.COINBASE_CLIENT_ID, s.COINBASE_API_BASE)"
    said = subprocess.run(
        [sys.executable, "-c", command], cwd=ROOT, capture_output=True, text=True, check=True,
        env={"PATH": os.environ["PATH"], "HOME": str(home), "AIKA_DATA_DIR": str(home), **environment},
    )  # fmt: skip
    return said.stdout.strip()


def test_it_keeps_its_secret_and_follows_its_addresses(tmp_path: Path) -> None:
    first = demo_application.register(tmp_path, url=URL, venue_port=21_000)
    again = demo_application.register(tmp_path, url="http://localhost:8100", venue_port=21_001)
    assert first["COINBASE_CLIENT_SECRET"] == again["COINBASE_CLIENT_SECRET"]
    assert demo_application.kept(tmp_path) == again
    assert again["COINBASE_REDIRECT_URI"] == "http://localhost:8100/oauth/coinbase/callback"
    modes = {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    assert modes == {0o600}


def test_its_secret_is_not_among_the_arguments_that_everybody_on_the_machine_can_read(tmp_path: Path) -> None:
    made = demo_application.register(tmp_path, url=URL, venue_port=21_000)
    told = demo_application.arguments(tmp_path, made)
    assert not [word for word in told if made["COINBASE_CLIENT_SECRET"] in word]
    file = Path(told[told.index("--oauth-client-secret-file") + 1])
    assert (file.read_text(), stat.S_IMODE(file.stat().st_mode)) == (made["COINBASE_CLIENT_SECRET"], 0o600)


@pytest.mark.parametrize("content", ["", "{}", "[]", '{"COINBASE_CLIENT_ID": "x"}'])
def test_a_damaged_file_is_no_application(tmp_path: Path, content: str) -> None:
    (tmp_path / "demo-application.json").write_text(content)
    assert demo_application.kept(tmp_path) == {}


def test_commands_on_the_folder_know_it_and_one_that_somebody_set_comes_first(tmp_path: Path) -> None:
    assert scopes_and_id(tmp_path) == "https://api.coinbase.com"
    demo_application.register(tmp_path, url=URL, venue_port=21_000)
    assert scopes_and_id(tmp_path) == "aika-demo http://127.0.0.1:21000"
    assert scopes_and_id(tmp_path, COINBASE_CLIENT_ID="ours") == "ours https://api.coinbase.com"
