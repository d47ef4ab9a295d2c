"""`python -m tests.load`: a server installation under load on this machine, and docs/reliability.md from it.

It starts a PostgreSQL and a Redis of its own, the venue simulator and every process of docker-compose.yml; lets agents
propose over HTTP, sockets watch and people approve side by side, once a second together; measures from outside every
few seconds; stops asking, lets it all drain, and says what was not as it has to be. With `--faults` PostgreSQL is
restarted, Redis emptied, both workers and the feed killed and the feed's socket cut meanwhile, each once and apart.
Nothing but its own servers is touched; it needs Debian's postgresql and redis-server. Ctrl-C ends what it started.

Exit code: 0 where nothing was found, 1 where something was.
"""

import argparse
import json
import signal
import sys
from pathlib import Path

from tests import sections
from tests.load import judge, report, soak
from tests.load.faults import FAULTS
from tests.load.seen import Plan

PLAIN, FAULTED = "load", "load with faults"


def options_of(words: list[str]) -> argparse.Namespace:
    """What was asked for."""
    plan = Plan()
    parser = argparse.ArgumentParser(
        prog="python -m tests.load", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=plan.minutes, help="of load (%(default)s)")
    parser.add_argument("--agents", type=int, default=plan.agents, help="programs that propose (%(default)s)")
    parser.add_argument(
        "--sockets", type=int, default=plan.sockets, help="that watch; 18 an agent at most (%(default)s)"
    )
    parser.add_argument(
        "--every", type=float, default=plan.every_s, help="seconds between two proposals of an agent (%(default)s)"
    )
    parser.add_argument(
        "--approvers", type=int, default=plan.approvers, help="people who take turns to approve (%(default)s)"
    )
    parser.add_argument("--faults", action="store_true", help=f"break it meanwhile: {', '.join(FAULTS)}")
    parser.add_argument(
        "--only", choices=FAULTS, action="append", help="with --faults: this one, and those named beside it"
    )
    parser.add_argument("--report", type=Path, help="write the section of this run into this page")
    parser.add_argument("--json", action="store_true", help="say the figures as JSON")
    parser.add_argument("--logs", type=Path, help="keep the logs of the processes in this folder")
    return parser.parse_args(words)


def plan_of(options: argparse.Namespace) -> Plan:
    """As a soak takes it. The first run's beginning is not a fault's: each has a part of the time of its own."""
    return Plan(
        minutes=options.minutes,
        agents=options.agents,
        sockets=options.sockets,
        every_s=options.every,
        approvers=options.approvers,
        faults=tuple(options.only or FAULTS) if options.faults else (),
        logs=options.logs,
    )


def main(words: list[str]) -> int:
    """Soak, say, write."""
    options = options_of(words)
    # So that what was started is also ended where somebody ends this by a signal.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    seen = soak.run(plan_of(options), soak.say)
    findings = judge.verdict(seen)
    if options.json:
        sys.stdout.write(json.dumps(report.as_json(seen, findings), indent=2) + "\n")
    else:
        sys.stdout.write(report.lines(seen, findings))
    if options.report:
        sections.write(options.report, FAULTED if options.faults else PLAIN, report.section(seen, findings))
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
