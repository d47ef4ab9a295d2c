"""What a process of a server installation makes sure of before it takes any work."""

import logging
import sys
from typing import Final, NoReturn

import django
from django.core.exceptions import ImproperlyConfigured
from django.db import Error, connections

from apps.common.errors import Misconfigured

EXIT_CODE: Final = 3
"""gunicorn's and uvicorn's own for what cannot begin: gunicorn then stops making workers."""

logger = logging.getLogger(__name__)


def require_keys() -> None:
    """Ends the process, after one line, where a key of TOKEN_ENCRYPTION_KEY cannot be used or none opens what rests.

    A database that is away stops nobody: what becomes of it is seen by `/readyz` and the alarms.
    """
    django.setup()
    # Not at the top: it reaches models.
    from apps.accounts.services import token_keys

    try:
        token_keys.require_right_keys()
    except ImproperlyConfigured as error:
        _end(str(error))
    except Error as error:
        logger.warning("The database was not asked whether the keys open what rests (%s).", type(error).__name__)
    finally:
        _let_go()


def load_embeddings() -> None:
    """Load and test what makes vectors of texts, once Django is set up. Ends the process, after one line, where it does
    not work: nobody who starts without the checks (lessons.E001) goes on with a memory that answers nothing."""
    # Not at the top, as above.
    from apps.lessons import embeddings

    try:
        embeddings.provider().self_test()
    except Misconfigured as error:
        _end(f"lessons.E001: {error.message} {error.fix}")


def _end(why: str) -> NoReturn:
    sys.stderr.write(f"{why}\n")
    sys.exit(EXIT_CODE)


def _let_go() -> None:
    """Nothing that is open now is inherited by child processes."""
    for connection in connections.all(initialized_only=True):
        connection.close()
        if connection.vendor == "postgresql" and connection.settings_dict["OPTIONS"].get("pool"):
            connection.close_pool()  # type: ignore[attr-defined]  # of PostgreSQL's alone
