"""The demo's own OAuth application: registered at the simulator that `make run` starts, and nowhere else.

Kept in the data folder, so that `manage.py oauth_url` on the same folder knows it. Whoever sets COINBASE_CLIENT_ID has
an application of their own, and this one is not used.
"""

import json
import os
import secrets
from pathlib import Path
from typing import Any, Final

_FILE: Final = "demo-application.json"
# The secret alone, for the simulator: what stands in a process's arguments is read by everybody on the machine.
_FOR_THE_VENUE: Final = "demo-application-secret"
CLIENT_ID: Final = "aika-demo"
SCOPES: Final = (
    *("wallet:user:read", "wallet:accounts:read", "wallet:buys:create", "wallet:trades:read"),
    *("wallet:trades:create", "wallet:transactions:read", "offline_access"),
)


def register(home: Path, *, url: str, venue_port: int) -> dict[str, Any]:
    """Make it, or find it again, for Aika at `url` and the simulator at that port; the settings that go with it.

    The venue is called 127.0.0.1 where Aika is called localhost: two sites to a browser, as the real ones are.
    """
    made: dict[str, Any] = {
        "COINBASE_CLIENT_ID": CLIENT_ID,
        "COINBASE_CLIENT_SECRET": kept(home).get("COINBASE_CLIENT_SECRET") or secrets.token_urlsafe(32),
        "COINBASE_REDIRECT_URI": f"{url}/oauth/coinbase/callback",
        "COINBASE_SCOPES": list(SCOPES),
        "COINBASE_API_BASE": f"http://127.0.0.1:{venue_port}",
    }
    _write(home / _FILE, json.dumps(made))
    _write(home / _FOR_THE_VENUE, made["COINBASE_CLIENT_SECRET"])
    return made


def _write(path: Path, text: str) -> None:
    draft = path.with_suffix(".draft")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)


def kept(home: Path) -> dict[str, Any]:
    """The settings that go with it; nothing where `make run` has not made one, or it cannot be read."""
    try:
        found = json.loads((home / _FILE).read_text(encoding="utf-8"))
        return {name: found[name] for name in _NAMES}
    except (OSError, ValueError, KeyError, TypeError):
        return {}


_NAMES: Final = (
    *("COINBASE_CLIENT_ID", "COINBASE_CLIENT_SECRET", "COINBASE_REDIRECT_URI", "COINBASE_SCOPES"),
    "COINBASE_API_BASE",
)


def arguments(home: Path, application: dict[str, Any]) -> list[str]:
    """What the simulator is started with so that it knows the application of this folder."""
    return [
        *("--oauth-client-id", application["COINBASE_CLIENT_ID"]),
        *("--oauth-client-secret-file", str(home / _FOR_THE_VENUE)),
        *("--oauth-redirect-uri", application["COINBASE_REDIRECT_URI"]),
    ]
