"""What tags and broken facts repeat of their case (models.WeighedCase), kept by triggers on both databases.

A copy that a service keeps would be wrong wherever one forgets it: in a bulk update, or in a worker of the version
before while a new one is rolled out. A later migration that makes SQLite build one of these tables anew calls `install`
again; `tests/lessons/test_weighed.py` says where it did not.
"""

from typing import Final

from django.db.backends.base.base import BaseDatabaseWrapper

TABLES: Final = ("lessons_casetag", "lessons_caseviolation")
COPIES: Final = "weighs, lost, told, verdict, proposal_id, r_multiple"
# Of a case: what decides the copies.
_DECIDES: Final = "counts, result, source, verdict, proposal_id, r_multiple"
_COPIED: Final = (
    "c.counts AND c.result IN ('WON', 'LOST'), c.result = 'LOST', c.source = 'REPORTED', c.verdict, c.proposal_id, "
    "c.r_multiple"
)
_PG: Final = f"""
CREATE OR REPLACE FUNCTION lessons_weigh() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT {_COPIED} INTO NEW.weighs, NEW.lost, NEW.told, NEW.verdict, NEW.proposal_id, NEW.r_multiple
    FROM lessons_case c WHERE c.id = NEW.case_id;
    RETURN NEW;
END $$;
CREATE OR REPLACE FUNCTION lessons_weigh_again() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE lessons_casetag SET weighs = weighs WHERE case_id = NEW.id;
    UPDATE lessons_caseviolation SET weighs = weighs WHERE case_id = NEW.id;
    RETURN NULL;
END $$;
CREATE OR REPLACE TRIGGER weigh BEFORE INSERT OR UPDATE ON lessons_casetag
    FOR EACH ROW EXECUTE FUNCTION lessons_weigh();
CREATE OR REPLACE TRIGGER weigh BEFORE INSERT OR UPDATE ON lessons_caseviolation
    FOR EACH ROW EXECUTE FUNCTION lessons_weigh();
CREATE OR REPLACE TRIGGER weigh_again AFTER UPDATE ON lessons_case FOR EACH ROW
    WHEN ((OLD.counts, OLD.result, OLD.source, OLD.verdict, OLD.proposal_id, OLD.r_multiple)
        IS DISTINCT FROM (NEW.counts, NEW.result, NEW.source, NEW.verdict, NEW.proposal_id, NEW.r_multiple))
    EXECUTE FUNCTION lessons_weigh_again();
"""  # noqa: S608


def install(connection: BaseDatabaseWrapper) -> None:
    """The triggers stand. May be repeated."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute(_PG)
            return
        for name, sql in _sqlite().items():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")
            cursor.execute(sql)


def uninstall(connection: BaseDatabaseWrapper) -> None:
    """They do not."""
    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("DROP FUNCTION IF EXISTS lessons_weigh, lessons_weigh_again CASCADE")
            return
        for name in _sqlite():
            cursor.execute(f"DROP TRIGGER IF EXISTS {name}")


def _sqlite() -> dict[str, str]:
    """Trigger name -> SQL. SQLite does not change a row on its way in, so it is written right after."""
    copy = f"({COPIES}) = (SELECT {_COPIED} FROM lessons_case c WHERE c.id = NEW."  # noqa: S608  names of ours
    again = "".join(f" UPDATE {table} SET {copy}id) WHERE case_id = NEW.id;" for table in TABLES)  # noqa: S608
    found = {
        f"weigh_{table}_{event.split()[0].lower()}": (
            f"CREATE TRIGGER weigh_{table}_{event.split()[0].lower()} AFTER {event} ON {table} "  # noqa: S608
            f"BEGIN UPDATE {table} SET {copy}case_id) WHERE id = NEW.id; END"
        )
        for table in TABLES
        for event in ("INSERT", f"UPDATE OF case_id, {COPIES}")
    }
    found["weigh_again"] = f"CREATE TRIGGER weigh_again AFTER UPDATE OF {_DECIDES} ON lessons_case BEGIN{again} END"
    return found
