"""The kinds of failure, sorted by what the caller should do next. Apps subclass these in their own `errors.py`."""

from typing import ClassVar


class AikaError(Exception):
    """A failure with a stable code, a sentence for people and the next step.

    `code` is SCREAMING_SNAKE and never changes once published. `message` is a sentence. `fix` says what to do next.
    `field` names the input at fault. `details` holds the numbers of the case as text (`notional="1200"`): no secret.
    """

    http_status: ClassVar[int] = 500

    def __init__(self, code: str, message: str, *, fix: str = "", field: str | None = None, **details: str) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.fix = fix
        self.field = field
        self.details = details

    def __str__(self) -> str:
        numbers = ", ".join(f"{name}={text}" for name, text in self.details.items())
        return f"{self.code}: {self.message}" + (f" ({numbers})" if numbers else "")


class Invalid(AikaError):
    """What was sent cannot be understood or breaks a bound; sending it again changes nothing."""

    http_status = 400


class Forbidden(AikaError):
    """This person or key may not do this."""

    http_status = 403


class NotFound(AikaError):
    """No such thing, or not for this person: the two are not told apart."""

    http_status = 404


class Conflict(AikaError):
    """Somebody was faster, or the state moved: look again, then decide again."""

    http_status = 409


class Denied(AikaError):
    """A rule of ours says no to a verb on something that exists."""

    http_status = 422


class Unavailable(AikaError):
    """Nothing happened: the other side is away. May be tried again, within bounds."""

    http_status = 503


class OutcomeUnknown(AikaError):
    """It may have happened. Never sent again; reconciliation finds out."""

    http_status = 202


class Misconfigured(AikaError):
    """An operator or a programmer must act; trying again changes nothing."""

    http_status = 500
