"""Secrets at rest: encrypted, bound to their row, and never shown by accident.

Fernet knows no associated data: a token of one row opens in every other. So the plaintext begins with
"app.Model.field:pk", and opening it for another row is refused. Keys are Fernet keys in settings.TOKEN_ENCRYPTION_KEYS:
the first encrypts, all decrypt; there is no fallback to SECRET_KEY.
"""

import hmac
from typing import TYPE_CHECKING, Any, Generic, Self, TypeVar

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django import forms
from django.conf import settings
from django.core import checks
from django.core.exceptions import FieldError, ImproperlyConfigured
from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.models.query_utils import DeferredAttribute
from django.utils.crypto import salted_hmac
from fernet_fields import EncryptedTextField as FernetTextField

from apps.common.errors import Misconfigured

SEALED_PREFIX = "sealed:"
FINGERPRINT_CHARS = 8

M = TypeVar("M", bound=models.Model)
_ST = TypeVar("_ST", contravariant=True)
_GT = TypeVar("_GT", covariant=True)


class Secret:
    """An opened secret. Only `reveal()` gives the text; str, repr, format and templates show asterisks."""

    __slots__ = ("_text", "token")

    def __init__(self, text: str, *, token: bytes | None = None) -> None:
        self._text = text
        self.token = token  # the ciphertext it was opened from: loaddata saves past pre_save

    def reveal(self) -> str:
        return self._text

    def __repr__(self) -> str:
        return "Secret(********)"

    def __str__(self) -> str:
        return "********"

    def __bool__(self) -> bool:
        return bool(self._text)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret | str):
            return NotImplemented
        text = other.reveal() if isinstance(other, Secret) else other
        return hmac.compare_digest(self._text.encode(), text.encode())

    __hash__ = None  # type: ignore[assignment]  # a secret is no key of anything

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> str:
        raise TypeError("A secret is not pickled.")


class Sealed:
    """The ciphertext of one row's secret, as the database holds it."""

    __slots__ = ("token",)

    def __init__(self, token: bytes) -> None:
        self.token = token

    def __repr__(self) -> str:
        return "Sealed()"


def fingerprint(secret: str) -> str:
    """8 hex characters by which a person recognises a secret without seeing it (HMAC under SECRET_KEY)."""
    return salted_hmac("aika.fingerprint", secret, algorithm="sha256").hexdigest()[:FINGERPRINT_CHARS]


def seal_text(text: str, *, purpose: str) -> str:
    """Encrypt a secret whose row belongs to a library and cannot be known here; it opens for the same purpose only."""
    return SEALED_PREFIX + _fernet().encrypt(f"{purpose}\n{text}".encode()).decode()


def open_text(sealed: str, *, purpose: str) -> str:
    """What `seal_text` sealed. Raises Misconfigured SECRET_UNREADABLE or SECRET_MOVED."""
    try:
        plain = _fernet().decrypt(sealed.removeprefix(SEALED_PREFIX).encode()).decode()
    except InvalidToken:
        raise Misconfigured(
            "SECRET_UNREADABLE",
            f"No key opens a secret of {purpose}.",
            fix="Put the key it was written with back into TOKEN_ENCRYPTION_KEY.",
        ) from None
    found, _, text = plain.partition("\n")
    if found != purpose:
        raise Misconfigured(
            "SECRET_MOVED", f"This ciphertext is not one of {purpose}.", fix="Find out who copied it; set it up again."
        )
    return text


def check_keys() -> list[checks.CheckMessage]:
    """An error (common.E001) for a missing or malformed key; empty when every key can be used."""
    try:
        _fernet()
    except ImproperlyConfigured as error:
        return [checks.Error(str(error), hint=_HOW_TO_MAKE_A_KEY, id="common.E001")]
    return []


def require_keys() -> None:
    """Raises ImproperlyConfigured unless there are keys and all of them can be used. For `AppConfig.ready`."""
    _fernet()


class SealedAttribute(DeferredAttribute):
    """Opens the row's own ciphertext on reading, as a Secret; the instance itself holds ciphertext only."""

    field: Any

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = instance.__dict__.get(self.field.attname, self)
        if value is self:
            value = super().__get__(instance, cls)
        return self.field.open(instance, value) if isinstance(value, Sealed) else value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = Secret(value) if isinstance(value, str) else value


if TYPE_CHECKING:
    _Base = models.Field
else:

    class _Base(FernetTextField, Generic[_ST, _GT]):
        """Django's fields know their two types only to the type checker."""


class EncryptedTextField(_Base[_ST, _GT]):
    """A secret. Assign a str, read a Secret (`row.secret.reveal()`); the primary key must be set before saving.

    Reading raises Misconfigured: SECRET_MOVED for the ciphertext of another row, SECRET_UNREADABLE when no key opens
    it. Only instance saves write it: `update`, `bulk_update` and raw values raise TypeError here, and SealedQuerySet
    refuses them earlier with words. Forms get a password input that keeps the old secret when left empty;
    `dumpdata` writes ciphertext.
    """

    descriptor_class = SealedAttribute
    _pyi_private_set_type: str | Secret
    _pyi_private_get_type: Secret
    _pyi_lookup_exact_type: Any

    def get_internal_type(self) -> str:
        return "BinaryField"

    @property
    def fernet(self) -> MultiFernet:
        return _fernet()

    def bound_to(self, instance: models.Model) -> str:
        """What the plaintext begins with, so that a ciphertext opens in its own row only."""
        if instance.pk is None:
            raise Misconfigured("SECRET_WITHOUT_ROW", f"{self.name} is sealed to its row: set the primary key first.")
        return f"{self.model._meta.label}.{self.name}:{instance.pk}\n"

    def seal(self, instance: models.Model, secret: Secret) -> Sealed:
        return Sealed(self.fernet.encrypt((self.bound_to(instance) + secret.reveal()).encode()))

    def open(self, instance: models.Model, sealed: Sealed) -> Secret:
        try:
            plain = self.fernet.decrypt(sealed.token).decode()
        except InvalidToken:
            raise Misconfigured(
                "SECRET_UNREADABLE",
                f"No key opens {self.model._meta.label}.{self.name}.",
                fix="Put the key it was written with back into TOKEN_ENCRYPTION_KEY.",
            ) from None
        owner, _, text = plain.partition("\n")
        if owner + "\n" != self.bound_to(instance):
            raise Misconfigured(
                "SECRET_MOVED",
                f"This ciphertext of {self.model._meta.label}.{self.name} was written for another row.",
                fix="Find out who copied it; enter the secret again.",
            )
        return Secret(text, token=sealed.token)

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        held = model_instance.__dict__.get(self.attname)
        if isinstance(held, Sealed):
            self.open(model_instance, held)  # a row copied under a new key must not carry a ciphertext nobody can open
            return held
        value = getattr(model_instance, self.attname)
        if isinstance(value, Secret):
            value = model_instance.__dict__[self.attname] = self.seal(model_instance, value)
        return value

    def get_prep_value(self, value: Any) -> Any:
        return value

    def get_db_prep_save(self, value: Any, connection: BaseDatabaseWrapper) -> Any:
        if value is None:
            return None
        if not isinstance(value, Sealed | Secret) or value.token is None:
            raise TypeError(f"{self.name} is sealed to its row: assign it to the instance and save that.")
        return connection.Database.Binary(value.token)  # type: ignore[attr-defined]  # each backend's DB-API module

    def from_db_value(self, value: Any, expression: object, connection: BaseDatabaseWrapper, *args: object) -> Any:
        return None if value is None else Sealed(bytes(value))

    def to_python(self, value: Any) -> Any:
        if isinstance(value, str) and value.startswith(SEALED_PREFIX):  # loaddata reads what dumpdata wrote
            return Sealed(value.removeprefix(SEALED_PREFIX).encode())
        return value

    def value_from_object(self, obj: models.Model) -> Any:
        """Nothing: this is what forms start from and serialisers print."""
        return ""

    def value_to_string(self, obj: models.Model) -> str:
        sealed = self.pre_save(obj, False)
        return SEALED_PREFIX + sealed.token.decode() if isinstance(sealed, Sealed) else ""

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        if data not in (None, ""):
            setattr(instance, self.attname, data)

    def clean(self, value: Any, model_instance: models.Model | None) -> Any:
        if isinstance(value, Secret):
            super().clean(value.reveal(), model_instance)
            return value
        return super().clean(value, model_instance)

    def formfield(self, **kwargs: Any) -> Any:
        widget = forms.PasswordInput(attrs={"autocomplete": "off"}, render_value=False)
        return super().formfield(**{**kwargs, "widget": widget})

    def check(self, **kwargs: Any) -> list[checks.CheckMessage]:
        return [*super().check(**kwargs), *check_keys()]


class SealedQuerySet(models.QuerySet[M]):
    """Refuses, with words, what would write a secret past its row or read one without it."""

    def update(self, **kwargs: Any) -> int:
        self._refuse(set(kwargs), "update()")
        return super().update(**kwargs)

    def bulk_update(self, objs: Any, fields: Any, batch_size: int | None = None) -> int:
        names = list(fields)
        self._refuse(set(names), "bulk_update()")
        return super().bulk_update(objs, names, batch_size=batch_size)

    def bulk_create(self, objs: Any, *args: Any, **kwargs: Any) -> list[M]:
        self._refuse(self._sealed(), "bulk_create()")
        return super().bulk_create(objs, *args, **kwargs)

    def _values(self, *fields: Any, **expressions: Any) -> Self:
        self._refuse({name for name in fields if isinstance(name, str)} if fields else self._sealed(), "values()")
        parent: Any = super()
        copy: Self = parent._values(*fields, **expressions)
        return copy

    def _sealed(self) -> set[str]:
        return {field.name for field in self.model._meta.concrete_fields if isinstance(field, EncryptedTextField)}

    def _refuse(self, names: set[str], verb: str) -> None:
        if touched := sorted(names & self._sealed()):
            raise FieldError(f"{verb} cannot touch the secret {', '.join(touched)}: load the row and use the instance.")


_HOW_TO_MAKE_A_KEY = "Set TOKEN_ENCRYPTION_KEY to the output of: python -c " + (
    "'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())'"
)


def _fernet() -> MultiFernet:
    keys: tuple[str, ...] = tuple(getattr(settings, "TOKEN_ENCRYPTION_KEYS", ()))
    if not keys:
        raise ImproperlyConfigured("TOKEN_ENCRYPTION_KEY is not set: no secret can be stored or read.")
    try:
        return MultiFernet([Fernet(key) for key in keys])
    except ValueError:
        # Neither the key nor the library's message, which may quote it.
        raise ImproperlyConfigured("TOKEN_ENCRYPTION_KEY holds a malformed key: 32 bytes in urlsafe base64.") from None
