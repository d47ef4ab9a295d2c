"""`manage.py doctor`: each verdict beside the sign that makes it, and the command on a desk as it is."""

import base64
import io
import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.management import call_command
from django.db import connection
from django.utils import timezone

from apps.audit.services import keys, pulses
from apps.audit.services.alarms import raise_alarm
from apps.common import guard_triggers
from apps.dashboard.rules.doctor import (
    FeedSign,
    LifeSign,
    Line,
    Process,
    RedisSigns,
    Signs,
    VenueSigns,
    examine,
    exit_code,
)
from apps.dashboard.services import parts
from tests.factories.desk import PaperDesk
from tests.factories.unknown import unknown

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


def ago(**span: int) -> datetime:
    return NOW - timedelta(**span)


PAPER = VenueSigns(
    name="paper", state="ACTIVE", compared_at=NOW - timedelta(seconds=40), compared_whole=True, ahead_s=Decimal("0.1")
)
BEAT = LifeSign(part="beat", at=ago(seconds=12), silent_s=60, start="Start it.")
WELL = Signs(
    now=NOW,
    production=True,
    environment="production",
    process=Process.ANY,
    vendor="postgresql",
    role="aika",
    oldest_unsealed_at=NOW - timedelta(seconds=5),
    verified_at=NOW - timedelta(hours=3),
    verified_intact=True,
    venues=(PAPER,),
    life=(BEAT,),
    redis=RedisSigns(),
    disk_path="/data",
)


def test_all_is_well() -> None:
    lines = examine(WELL)
    assert {line.verdict for line in lines} == {"ok"}
    assert [line.fix for line in lines if line.fix] == []
    assert exit_code(lines) == 0


@pytest.mark.parametrize(
    ("check", "verdict", "signs"),
    [
        ("clock database", "ok", {"database_ahead_s": Decimal("0.99")}),
        ("clock database", "warn", {"database_ahead_s": Decimal("-1")}),
        ("clock database", "fail", {"database_ahead_s": Decimal(30)}),
        ("beat", "ok", {"life": (replace(BEAT, at=ago(seconds=60)),)}),
        ("beat", "fail", {"life": (replace(BEAT, at=ago(seconds=61)),)}),
        ("beat", "fail", {"life": (replace(BEAT, at=None),)}),
        ("beat", "warn", {"life": (replace(BEAT, at=None),), "production": False}),
        ("redis", "ok", {"redis": RedisSigns()}),
        ("redis", "warn", {"redis": RedisSigns(writes=False)}),
        ("redis", "fail", {"redis": RedisSigns(evicts=True)}),
        ("redis", "warn", {"redis": RedisSigns(evicts=True), "production": False}),
        ("redis", "warn", {"redis": RedisSigns(trouble="does not say how it keeps things (ResponseError)")}),
        ("settings", "fail", {"errors": ("config.E001 DEBUG is on in production.",)}),
        ("settings", "warn", {"warnings": ("security.W004 HSTS",)}),
        ("settings", "ok", {"production": False, "environment": "staging"}),
        ("database", "fail", {"database_trouble": "does not answer (OperationalError)"}),
        ("database", "fail", {"vendor": "sqlite"}),
        ("database", "ok", {"vendor": "sqlite", "production": False}),
        ("migrations", "fail", {"unapplied": ("trades.0010_begin_budgets",)}),
        ("role", "fail", {"too_mighty": ("audit_event",)}),
        ("role", "warn", {"too_mighty": ("audit_event",), "production": False}),
        ("guards", "fail", {"guards": ("missing trigger x on audit_event",)}),
        ("broker", "fail", {"broker_trouble": "does not answer (ConnectionError)"}),
        ("broker", "fail", {"broker_embedded": True}),
        ("broker", "ok", {"broker_embedded": True, "production": False}),
        ("encryption key", "fail", {"encryption_trouble": "TOKEN_ENCRYPTION_KEY is empty."}),
        ("second factors", "fail", {"closed_factors": ("authenticator app of ana (SECRET_MOVED)",)}),
        ("sealing key", "fail", {"process": Process.WEB, "seal_key_told": True}),
        ("sealing key", "ok", {"process": Process.WEB}),
        ("sealing key", "fail", {"process": Process.WORKER}),
        ("sealing key", "fail", {"process": Process.WORKER, "seal_key_told": True, "seal_key_trouble": "no file"}),
        ("sealing key", "ok", {"process": Process.WORKER, "seal_key_told": True}),
        ("checkpoints", "warn", {"oldest_unsealed_at": ago(seconds=60)}),
        ("checkpoints", "fail", {"oldest_unsealed_at": ago(seconds=600)}),
        ("checkpoints", "ok", {"oldest_unsealed_at": None}),
        ("audit log", "warn", {"verified_at": None}),
        ("audit log", "warn", {"verified_at": ago(days=2, seconds=1)}),
        ("audit log", "fail", {"verified_intact": False}),
        ("stop", "fail", {"lapsed_claims": 1}),
        ("stop", "warn", {"unknown_orders": 2}),
        ("trading state", "warn", {"state": "HALTED"}),
        ("trading state", "warn", {"venues": (replace(PAPER, state="REDUCING"),)}),
        ("comparison paper", "fail", {"venues": (replace(PAPER, compared_at=ago(seconds=601)),)}),
        ("comparison paper", "warn", {"venues": (replace(PAPER, compared_at=None),)}),
        ("comparison paper", "warn", {"venues": (replace(PAPER, compared_whole=False),)}),
        ("clock paper", "warn", {"venues": (replace(PAPER, ahead_s=Decimal("-1.5")),)}),
        ("clock paper", "fail", {"venues": (replace(PAPER, ahead_s=Decimal(30)),)}),
        ("clock paper", "fail", {"venues": (replace(PAPER, ahead_s=None, trouble="It does not answer."),)}),
        ("feed m", "ok", {"feeds": (FeedSign(market="m", live_at=ago(seconds=60)),)}),
        ("feed m", "warn", {"feeds": (FeedSign(market="m", live_at=ago(seconds=61)),)}),
        ("feed m", "warn", {"feeds": (FeedSign(market="m", live_at=None),)}),
        ("disk", "warn", {"disk_free": Decimal("0.149")}),
        ("disk", "fail", {"disk_free": Decimal("0.049")}),
        ("alarms", "warn", {"alarms": ("ORDER_UNKNOWN order:1",)}),
    ],
)
def test_each_sign_gives_its_verdict_and_says_what_to_do(check: str, verdict: str, signs: dict[str, Any]) -> None:
    lines = examine(replace(WELL, **signs))
    (line,) = [line for line in lines if line.check == check]
    assert line.verdict == verdict
    assert bool(line.fix) == (verdict != "ok")
    assert exit_code(lines) == {"ok": 0, "warn": 1, "fail": 2}[verdict]


def test_nothing_is_read_from_a_database_that_lacks_migrations() -> None:
    checks = [line.check for line in examine(replace(WELL, unapplied=("audit.0003_alarm_notices",)))]
    assert "guards" not in checks and "checkpoints" not in checks and "disk" in checks


def test_a_failure_outweighs_a_warning() -> None:
    assert exit_code((Line("a", "warn", ""), Line("b", "fail", ""))) == 2  # type: ignore[arg-type]


def doctor(*words: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit code, and check -> verdict and what was found."""
    out, code = io.StringIO(), 0
    try:
        call_command("doctor", "--json", *words, stdout=out)
    except SystemExit as stop:
        code = int(str(stop.code))
    said = json.loads(out.getvalue())
    assert said["exit_code"] == code
    return code, {row["check"]: (row["verdict"], row["found"]) for row in said["checks"]}


@pytest.mark.django_db
def test_the_command_reads_a_desk(paper: PaperDesk, settings: Any, tmp_path: Path) -> None:
    slug = paper.connection.slug
    code, found = doctor()
    assert found["database"] == ("ok", f"{connection.vendor} answers")
    assert found["guards"][0] == found["encryption key"][0] == found["stop"][0] == "ok"
    assert found[f"clock {slug}"][0] == found["clock database"][0] == "ok", found
    assert found["beat"] == found["worker execution"] == ("warn", "has never been heard of")
    pulses.beat(pulses.BEAT, now=timezone.now())
    pulses.beat(pulses.worker("execution"), now=timezone.now() - timedelta(seconds=90))
    alive = doctor("--offline")[1]
    assert (alive["beat"][0], alive["worker execution"][0], alive["worker default"][0]) == ("ok", "fail", "warn")
    pulses.beat(pulses.worker("execution"), now=timezone.now())
    assert found[f"comparison {slug}"] == ("warn", "never compared with its venue")
    assert code == max({"ok": 0, "warn": 1, "fail": 2}[verdict] for verdict, _ in found.values())
    assert found["role"][0] == ("warn" if connection.vendor == "postgresql" else "ok")
    assert f"clock {slug}" not in doctor("--offline")[1]

    unknown(paper, "timeout-before")
    raise_alarm(code="ORDER_UNKNOWN", subject="order:1", message="Look.", now=NOW)
    settings.AUDIT_SEAL_KEY_FILE = str(tmp_path / "seal.pem")
    assert doctor("--offline", "--process", "worker")[1]["sealing key"][0] == "fail"
    settings.AUDIT_SEAL_PUBLIC_KEYS = [keys.generate(path=tmp_path / "seal.pem").hex()]
    code, found = doctor("--offline", "--process", "worker")
    assert found["sealing key"] == ("ok", "readable, and its public half is believed")
    assert found["stop"] == ("warn", "1 order of unknown fate")
    assert found["alarms"][0] == "warn"
    assert doctor("--offline", "--process", "web")[1]["sealing key"][0] == "fail"
    settings.TOKEN_ENCRYPTION_KEYS = (base64.urlsafe_b64encode(b"k" * 32).decode(),)
    assert doctor("--offline")[1]["encryption key"] == ("fail", f"the venue key of {slug} does not open with it")


@pytest.mark.django_db
def test_the_command_fails_where_a_guard_is_gone(db: None, capsys: pytest.CaptureFixture[str]) -> None:
    with connection.cursor() as cursor:
        for sql in guard_triggers.drop_statements(connection, "audit_event"):
            cursor.execute(sql)
    with pytest.raises(SystemExit, match="2"):
        call_command("doctor", "--offline")
    said = capsys.readouterr().out
    assert "fail  guards" in said
    assert "missing trigger guard_audit_event_append_only_update on audit_event" in said
    assert "To do: Find out who changed them" in said


def test_redis_says_how_it_keeps_things(settings: Any) -> None:
    """Asked of the real server where there is one; not asked where there is none, or it is away."""
    if settings.REDIS_URL:
        with redis.Redis.from_url(settings.REDIS_URL) as server:
            known = {name: server.config_get(name)[name] for name in ("appendonly", "maxmemory", "maxmemory-policy")}
        told = parts.redis_signs()
        evicts = known["maxmemory"] != "0" and known["maxmemory-policy"] != "noeviction"
        assert told == RedisSigns(writes=known["appendonly"] == "yes", evicts=evicts)
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    assert parts.redis_signs() is None
    settings.REDIS_URL = ""
    assert parts.redis_signs() is None
