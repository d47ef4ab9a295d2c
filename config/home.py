"""The data folder of the embedded way to run: who may read it, what lies in it, and the secrets made there once."""

import base64
import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_SECRETS = "secrets.json"


@dataclass(frozen=True)
class HomeSecrets:
    """What an embedded Aika must keep to itself. Fernet keys are 32 random bytes in URL-safe base64."""

    secret_key: str
    token_encryption_key: str


def make_home(home: Path) -> None:
    """The folder and the broker's folders, readable by their owner only."""
    try:
        for folder in (home, home / "broker", home / "broker" / "queue", home / "broker" / "taken"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        home.chmod(0o700)
    except OSError as error:
        raise ImproperlyConfigured(f"AIKA_DATA_DIR={str(home)!r} cannot be used: {error.strerror}.") from error


def home_secrets(home: Path) -> HomeSecrets:
    """The secrets of this folder, made on first use and never again.

    Raises ImproperlyConfigured where the file is damaged, or is gone while a database encrypted with it is still
    there: a new key would make every stored venue secret unreadable without saying so.
    """
    path = home / _SECRETS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return HomeSecrets(secret_key=content["secret_key"], token_encryption_key=content["token_encryption_key"])
    except FileNotFoundError:
        if (home / "aika.sqlite3").exists():
            raise ImproperlyConfigured(
                f"{path} is missing, but {home / 'aika.sqlite3'} was encrypted with it. Put it back, or remove the "
                f"folder {home} to begin again."
            ) from None
        return _write(path)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ImproperlyConfigured(f"{path} cannot be read ({error}). Put back a good copy.") from error


def _write(path: Path) -> HomeSecrets:
    """Write a whole file under another name, then link it: of two processes at once, both read the winner's."""
    made = {
        "secret_key": secrets.token_urlsafe(48),
        "token_encryption_key": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode("ascii"),
    }
    draft = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump(made, file)
        os.fsync(file.fileno())
    try:
        os.link(draft, path)
    except FileExistsError:
        return home_secrets(path.parent)
    finally:
        draft.unlink()
    return HomeSecrets(**made)
