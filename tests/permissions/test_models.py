"""The admin's registry: who may view, add, change and delete rows of each model, and whose rows they see."""

from typing import Any, NamedTuple

import pytest
from django.test import RequestFactory
from django.urls import reverse

from tests.permissions.doors import models
from tests.permissions.setting import Setting

pytestmark = pytest.mark.django_db

PEOPLE = "TAROUSX"


class Row(NamedTuple):
    """Letters as in matrix.txt. `desk`: people see rows of their own desks only; otherwise every role sees all."""

    view: str
    add: str = ""
    change: str = ""
    delete: str = ""
    desk: bool = False


EVERY = "TAROUS"
LEDGER = Row(EVERY, desk=True)
READ = Row(EVERY)
LOG = Row("AROUS")

MODELS = {
    "trades.proposal": LEDGER,
    "trades.authority": LEDGER,
    "trades.order": LEDGER,
    "trades.fill": LEDGER,
    "trades.position": LEDGER,
    "trades.outcome": LEDGER,
    "trades.proposalfacts": LEDGER,
    "trades.reportedoutcome": LEDGER,
    "trades.equitymark": LEDGER,
    "trades.haltclearing": LEDGER,
    "trades.inquiry": LEDGER,
    "trades.difference": LEDGER,
    "trades.reconciliationrun": LEDGER,
    "trades.hook": Row(EVERY, add="OS", change="OS", desk=True),
    "trades.hookcall": LEDGER,
    "approvals.vote": LEDGER,
    "lessons.case": LEDGER,
    "lessons.lesson": LEDGER,
    "lessons.recall": LEDGER,
    "lessons.knowledgerecall": LEDGER,
    "lessons.evaluation": LEDGER,
    "lessons.indexspace": READ,
    "lessons.indexentry": READ,
    "lessons.knowledgedocument": Row(EVERY, add="ROS", desk=True),
    "lessons.knowledgesource": Row(EVERY, add="OS", change="OS", desk=True),
    "policies.budget": LEDGER,
    "policies.reservation": LEDGER,
    "policies.decision": READ,
    "policies.latch": READ,
    "policies.tradingstate": READ,
    "policies.policyset": Row(EVERY, add="RS"),
    "policies.policyversion": Row(EVERY, change="RS"),
    "quotes.candleseries": READ,
    "quotes.candlebackfill": READ,
    "connectors.authorisation": READ,
    "connectors.connection": Row(EVERY, add="OS", change="OS"),
    "connectors.instrument": READ,
    "connectors.balancerecord": READ,
    "connectors.connectiongrant": READ,
    "connectors.connectorcheck": READ,
    "accounts.apikey": Row("ROUS", add="OS"),
    "accounts.desk": Row("ROUS", add="S", change="S"),
    "accounts.user": Row("ROUS", add="S", change="S"),
    "accounts.secondpersonrequest": Row("AROUS"),
    "audit.event": LOG,
    "audit.checkpoint": LOG,
    "audit.alarm": LOG,
    "audit.delivery": LOG,
    "account.emailaddress": Row("S", add="S", change="S", delete="S"),
    "django_celery_beat.periodictask": Row("OS", change="OS"),
    "django_celery_beat.intervalschedule": Row("OS", add="OS"),
    "django_celery_beat.crontabschedule": Row("OS", add="OS"),
}


def test_every_model_of_the_registry_has_a_row_and_every_row_a_model() -> None:
    assert sorted(models()) == sorted(MODELS)


def test_each_model_opens_to_exactly_whom_its_row_names(setting: Setting) -> None:
    found = {}
    for name, page in models().items():
        by_verb = {}
        for verb in ("view", "add", "change", "delete"):
            allowed = (letter for letter in PEOPLE if getattr(page, f"has_{verb}_permission")(asked(setting, letter)))
            by_verb[verb] = "".join(allowed)
        found[name] = Row(**by_verb, desk=MODELS[name].desk)  # type: ignore[arg-type]
    assert found == MODELS


def test_rows_of_a_desk_are_seen_by_its_own_people_and_by_no_colleague_of_another(setting: Setting) -> None:
    seen_somewhere: set[str] = set()
    wrong = set()
    for name, page in models().items():
        for own in MODELS[name].view:
            if own == "S":
                continue
            here, there = seen(setting, page, own), seen(setting, page, own.lower())
            if there != (set() if MODELS[name].desk else here):
                wrong.add((name, own))
            seen_somewhere |= {name} if here else set()
    assert wrong == set()
    needed = {"trades.proposal", "trades.order", "trades.authority", "approvals.vote", "connectors.connection"}
    assert needed <= seen_somewhere


# A list that leads on to the page that shows the same better.
INSTEAD = {("policies.tradingstate", "changelist", "/admin/trading-state/")}


@pytest.mark.slow
def test_the_pages_of_each_model_answer_as_its_row_says(setting: Setting) -> None:
    """Over HTTP, by everybody: the list, the form of a new row, and of one row its page, its history and its end."""
    wrong = []
    for name, page in models().items():
        row, where = MODELS[name], name.replace(".", "_")
        own = next((letter for letter in row.view if letter != "S"), "S")
        one = next(iter(seen(setting, page, own)), None)
        for letter in PEOPLE + "tarouVYN":
            for_role = letter.upper() if letter.islower() else letter
            here = letter == for_role or not row.desk
            wanted = {"changelist": for_role in row.view, "add": for_role in row.add}
            if one is not None:
                wanted |= {
                    "change": for_role in row.view and here,
                    "history": for_role in row.view and here,
                    "delete": for_role in row.delete and here,
                }
            for verb, may in wanted.items():
                args = [] if verb in ("changelist", "add") else [one]
                said = setting.ask(letter, "GET", reverse(f"admin:{where}_{verb}", args=args))
                is_in = said.status == 200 or (name, verb, said.location) in INSTEAD
                if is_in is not may:
                    wrong.append(f"{name} {verb} by {letter}: {said.status}, and the row says {may}")
    assert not wrong, "\n".join(wrong)


def seen(setting: Setting, page: Any, letter: str) -> set[object]:
    return set(page.get_queryset(asked(setting, letter)).values_list("pk", flat=True))


def asked(setting: Setting, letter: str) -> Any:
    request = RequestFactory().get("/admin/")
    request.user = setting.persons[letter]
    return request
