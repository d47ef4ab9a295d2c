"""A second factor's secrets belong to the row they are in: to one person, and to one kind of factor.

allauth keeps them in a JSON column of its own and has them encrypted by functions that see no row. So this column does
what `common.encryption` does for a column of ours: what is new is sealed to its row when that is saved, and what was
read carries the row it came from, for which alone it opens.
"""

from collections.abc import Callable
from typing import Any

from django.db import models
from django.db.models.query_utils import DeferredAttribute

from apps.common.encryption import SEALED_PREFIX, open_text, seal_text

_NOT_YET = "second factor of no row yet"


class Unbound(str):
    """A ciphertext of a row that is not saved yet."""

    __slots__ = ()


class Bound(str):
    """A ciphertext with the row that it was found in."""

    purpose: str


def sealed(text: str) -> Unbound:
    """For a row that is about to be saved."""
    return Unbound(seal_text(text, purpose=_NOT_YET))


def opened(ciphertext: str) -> str:
    """Raises Misconfigured SECRET_UNREADABLE where no key opens it, SECRET_MOVED where it is another row's."""
    return open_text(ciphertext, purpose=ciphertext.purpose if isinstance(ciphertext, Bound) else _NOT_YET)


def purpose_of(user_id: object, type_: str) -> str:
    """What a secret of this person's factor of this kind is sealed for."""
    return f"second factor of {user_id}:{type_}"


class _Attribute(DeferredAttribute):
    """The column of one instance: each ciphertext in it knows the row."""

    def __get__(self, instance: Any, cls: Any = None) -> Any:
        if instance is None:
            return self
        value = super().__get__(instance, cls)
        _replace(value, lambda text: _bound(text, instance) if type(text) is str else text)
        return value

    def __set__(self, instance: Any, value: Any) -> None:
        instance.__dict__[self.field.attname] = value


class SecondFactorData(models.JSONField):
    """`Authenticator.data`: see above. To migrations it is the JSON that allauth made it."""

    descriptor_class = _Attribute

    @classmethod
    def take_over(cls, model: type[models.Model]) -> None:
        """Put this in the place of the model's own column. Once, when applications are ready."""
        field: Any = model._meta.get_field("data")
        field.__class__ = cls
        setattr(model, field.attname, _Attribute(field))

    def pre_save(self, model_instance: models.Model, add: bool) -> Any:
        value = super().pre_save(model_instance, add)
        _replace(value, lambda text: _sealed_to(text, model_instance) if isinstance(text, Unbound) else text)
        return value

    def deconstruct(self) -> Any:
        name, _, args, kwargs = super().deconstruct()
        return name, "django.db.models.JSONField", args, kwargs


def _bound(text: str, instance: Any) -> Bound:
    bound = Bound(text)
    bound.purpose = purpose_of(instance.user_id, instance.type)
    return bound


def _sealed_to(text: Unbound, instance: Any) -> Bound:
    purpose = purpose_of(instance.user_id, instance.type)
    return _bound(seal_text(opened(text), purpose=purpose), instance)


def _replace(value: Any, change: Callable[[str], str]) -> None:
    """Change every ciphertext within, in place."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in list(items):
        if isinstance(inner, str) and inner.startswith(SEALED_PREFIX):
            value[key] = change(inner)
        else:
            _replace(inner, change)
