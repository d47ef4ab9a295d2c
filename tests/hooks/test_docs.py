"""The commands of docs/hooks.md, run as they stand there, against a server on a socket."""

import json
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pytest_django.live_server_helper import LiveServer

from apps.connectors.types import Side
from apps.trades.forms import EXAMPLE_TEMPLATE
from apps.trades.models import Proposal
from apps.trades.rules import hooks as rules
from tests.factories.desk import BTC, PaperDesk
from tests.hooks.conftest import make_sender
from tests.races.conftest import desk as desk

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "hooks.md").read_text(encoding="utf-8")
COMMANDS = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)
TEMPLATE = json.loads(re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)[0])


@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
@pytest.mark.parametrize(("command", "mode"), zip(COMMANDS, ["signed", "body_secret"], strict=True))
def test_the_commands_of_the_page_make_a_proposal(
    desk: PaperDesk, live_server: LiveServer, command: str, mode: str
) -> None:
    sender = make_sender(desk, mode, template=TEMPLATE)
    # The price of the page is not the price of the day.
    command = command.replace('"60000"', f'"{desk.crossing_price(BTC, Side.BUY)}"')

    def run(secret: str) -> Any:
        env = {
            "PATH": os.environ["PATH"],
            "AIKA": live_server.url,
            "HOOK": sender.hook.name,
            "SECRET": secret,
        }
        done = subprocess.run(
            ["bash", "-euc", command], env=env, capture_output=True, text=True, timeout=60, check=True
        )
        return json.loads(done.stdout)

    assert run("wrong")["code"] == "HOOK_NOT_AUTHENTIC"
    said = run(sender.secret)
    assert said["state"] == "AWAITING_APPROVAL", said
    assert Proposal.objects.get().rationale == "Crossed above"


def test_the_page_says_what_the_form_says() -> None:
    assert json.loads(EXAMPLE_TEMPLATE) == TEMPLATE
    rules.read_template(TEMPLATE)
    for name in (*rules.FIELDS, *rules.TRANSFORMS):
        assert name in PAGE


def test_every_code_of_hooks_is_on_the_page() -> None:
    source = Path(__file__).resolve().parents[2] / "apps" / "trades"
    files = [source / "rules" / "hooks.py", source / "services" / "hook_intake.py"]
    codes = {code for file in files for code in re.findall(r'"(HOOK_[A-Z_]+)"', file.read_text(encoding="utf-8"))}
    assert {code for code in codes if f"`{code}`" not in PAGE} == {"HOOK_TEMPLATE_WRONG"}, "that one is of the form"
