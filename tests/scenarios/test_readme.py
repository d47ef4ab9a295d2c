"""README.md: every command in it, and every link.

Executed as they stand there: `make run` (with a free port and without the demo agent), `curl`, and the `manage.py`
commands of *Go to production*, against the desk that `make run` started. Compared only: `make test` with what CI runs,
since these are its tests, and `docker compose up -d`, whose processes `test_server_profile.py` starts command for
command.
"""

import json
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "README.md").read_text(encoding="utf-8")
_, CURL, TEST, PRODUCTION = re.findall(r"```bash\n(.*?)```", PAGE, re.DOTALL)


def test_every_link_leads_somewhere() -> None:
    links = re.findall(r"\]\(([^)#]+)\)", PAGE)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).exists()] == []


def test_the_commands_of_the_tests_are_those_of_ci() -> None:
    assert TEST == "make test\n"
    assert "make --no-print-directory test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


def test_one_screen() -> None:
    assert len(PAGE.splitlines()) <= 80


@pytest.mark.slow
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("make")), reason="needs curl and make")
def test_a_stranger_follows_the_page(demo_desk: dict[str, str], tmp_path: Path) -> None:
    def follow(script: str, **more: str) -> str:
        done = subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script], cwd=tmp_path, env=demo_desk | more, capture_output=True,
            text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    answer = json.loads(follow(CURL.replace("http://localhost:8000", demo_desk["ADDRESS"])))
    assert answer["state"] == "AWAITING_APPROVAL"

    # What docker compose would start is started by test_server_profile.py, command for command.
    docker, *commands = PRODUCTION.splitlines()
    assert docker == "docker compose up -d"
    for command in commands:
        # A person types the password of the first one. The doctor finds that this desk is no production: 1.
        script = command.replace("python manage.py", f"python {ROOT}/manage.py")
        script += " --noinput" if "createsuperuser" in command else " || test $? -eq 1" if "doctor" in command else ""
        follow(
            script,
            DJANGO_SUPERUSER_USERNAME="first",
            DJANGO_SUPERUSER_PASSWORD="correct horse battery staple",
            DJANGO_SUPERUSER_EMAIL="first@desk.example",
        )
