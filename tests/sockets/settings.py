"""A server of the socket tests: its own folder and SQLite file; PostgreSQL and Redis only where the environment names
them."""

from config.env import env
from config.home import make_home
from config.settings.test import *  # noqa: F403  settings modules build on each other
from config.settings.test import DATABASE_URL, database

DATA_DIR = Path(env.required("AIKA_DATA_DIR"))  # noqa: F405
make_home(DATA_DIR)
if not DATABASE_URL:
    DATABASES = {"default": database("", DATA_DIR)}
ALLOWED_HOSTS = ["127.0.0.1", "localhost"]
CSRF_TRUSTED_ORIGINS = ["https://desk.example", "https://*.aika.example"]
