"""The one place that reads environment variables.

Every reader names the variable in its error, so that a bad value is found by its name and not by its effect.
A secret may come from a file: `NAME_FILE` is read where `NAME` is unset.
"""

import os
from collections.abc import Mapping
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

_TRUE = frozenset({"1", "true", "yes", "on"})
_FALSE = frozenset({"0", "false", "no", "off"})


class Env:
    """Typed reads from a mapping of environment variables (by default the process's own)."""

    def __init__(self, source: Mapping[str, str] | None = None) -> None:
        self._source = os.environ if source is None else source

    def text(self, name: str, default: str = "") -> str:
        """The value, or the content of the file `NAME_FILE` names, stripped; `default` where neither is set."""
        value = self._source.get(name)
        path = self._source.get(f"{name}_FILE")
        if value and path:
            raise ImproperlyConfigured(f"{name} and {name}_FILE are both set. Keep one of them.")
        if path:
            try:
                return Path(path).read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                raise ImproperlyConfigured(f"{name}_FILE={path!r} cannot be read: {error}.") from error
        return value.strip() if value else default

    def required(self, name: str) -> str:
        """The value; an error that names the variable where it is missing."""
        value = self.text(name)
        if not value:
            raise ImproperlyConfigured(f"{name} must be set (or {name}_FILE). See .env.example.")
        return value

    def flag(self, name: str, *, default: bool) -> bool:
        """A yes or no. Anything but {1 0 true false yes no on off} is refused."""
        value = self.text(name).lower()
        if not value:
            return default
        if value in _TRUE:
            return True
        if value in _FALSE:
            return False
        raise ImproperlyConfigured(f"{name}={value!r} is neither yes nor no. Use true or false.")

    def integer(self, name: str, *, default: int, minimum: int, maximum: int) -> int:
        """A whole number within [minimum, maximum]."""
        value = self.text(name)
        if not value:
            return default
        if not (value.isascii() and value.isdigit()) or not minimum <= int(value) <= maximum:
            raise ImproperlyConfigured(f"{name}={value!r} must be a whole number from {minimum} to {maximum}.")
        return int(value)

    def choice(self, name: str, *, default: str, choices: frozenset[str]) -> str:
        """One of `choices`."""
        value = self.text(name, default)
        if value not in choices:
            raise ImproperlyConfigured(f"{name}={value!r} must be one of: {', '.join(sorted(choices))}.")
        return value

    def words(self, name: str, *, default: tuple[str, ...] = ()) -> tuple[str, ...]:
        """A list, separated by commas or blanks."""
        value = self.text(name)
        return tuple(value.replace(",", " ").split()) if value else default

    def url(self, name: str, *, schemes: frozenset[str], default: str = "") -> str:
        """A URL whose scheme is one of `schemes`; empty where unset and no default."""
        value = self.text(name, default)
        if value and value.partition("://")[0] not in schemes:
            # The value may hold a password: it is not repeated here.
            known = ", ".join(sorted(f"{scheme}://" for scheme in schemes))
            raise ImproperlyConfigured(f"{name} must begin with one of: {known}.")
        return value


env = Env()
