"""pgbench writing the same rows: what PostgreSQL itself takes where nobody judges, words, hashes or proves anything.

Tables of the same columns, checks and indexes, without foreign keys and triggers; rows that are copies of stored ones
with fresh ids. As many proposals to a transaction as a batch has.
"""

import re
import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from django.db import connection

SECONDS: Final = 5
_UUID: Final = "gen_random_uuid()"
_TEXT: Final = "gen_random_uuid()::text"
# The tables a proposal is stored in, and what must differ from row to row. An id the database gives is left out.
TABLES: Final[Mapping[str, Mapping[str, str]]] = {
    "policies_decision": {"id": _UUID},
    "trades_proposal": {"id": _UUID, "client_order_id": _UUID, "idempotency_key": _TEXT},
    "trades_proposalfacts": {"proposal_id": _UUID},
    "audit_event": {"stream": _TEXT},
    "audit_streamhead": {"stream": _TEXT},
    "accounts_idempotencyrecord": {"key": _TEXT},
}
# Where the row of the newest proposal is, in each: a column, and what of the proposal stands in it.
_NEWEST: Final[Mapping[str, tuple[str, str]]] = {
    "policies_decision": ("id", "decision_id"),
    "trades_proposal": ("id", "id"),
    "trades_proposalfacts": ("proposal_id", "id"),
    "audit_event": ("stream", "'proposal:' || id"),
    "audit_streamhead": ("stream", "'proposal:' || id"),
    "accounts_idempotencyrecord": ("key", "idempotency_key"),
}


def prepare(batch: int) -> str:
    """Make the tables anew, with a row each to copy; the script that writes `batch` proposals."""
    inserts = []
    with connection.cursor() as cursor:
        for table, fresh in TABLES.items():
            # Names from the table above: no input of anybody reaches this text.
            cursor.execute(f'DROP TABLE IF EXISTS "plain_{table}", "one_{table}"')
            cursor.execute(f'CREATE TABLE "plain_{table}" (LIKE "{table}" INCLUDING ALL)')
            column, value = _NEWEST[table]
            newest = f"SELECT {value} FROM trades_proposal ORDER BY created_at DESC LIMIT 1"  # noqa: S608  see above
            rows = f'SELECT * FROM "{table}" WHERE "{column}" = ({newest}) LIMIT 1'  # noqa: S608  see above
            cursor.execute(f'CREATE TABLE "one_{table}" AS {rows}')
            cursor.execute(f'SELECT count(*) FROM "one_{table}"')  # noqa: S608  see above
            if cursor.fetchone() != (1,):
                raise RuntimeError(f"There is no row of {table} to copy.")
            names = [
                column.name
                for column in connection.introspection.get_table_description(cursor, table)
                if column.name != "id" or column.name in fresh
            ]
            wanted = ", ".join(f'"{name}"' for name in names)
            values = ", ".join(fresh.get(name, f'"{name}"') for name in names)
            inserts.append(f'INSERT INTO "plain_{table}" ({wanted}) SELECT {values} FROM "one_{table}";')  # noqa: S608  see above
    return "\n".join(["BEGIN;", *(inserts * batch), "COMMIT;"])


def per_second(url: str, script: str, *, clients: int, batch: int) -> float:
    """Proposals' rows a second, by so many clients of pgbench."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "proposals.sql"
        path.write_text(script)
        options = ["-n", "-M", "prepared", "-c", str(clients), "-j", "2", "-T", str(SECONDS), "-f", str(path)]
        command = ["pgbench", *options, url.replace("postgres://", "postgresql://")]
        said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    found = re.search(r"tps = ([0-9.]+)", said)
    if found is None:
        raise RuntimeError(f"pgbench said no rate: {said}")
    return float(found[1]) * batch
