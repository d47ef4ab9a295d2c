"""What the venue says when it says no: HTTP errors, and refusals inside an HTTP 200."""

from dataclasses import dataclass
from typing import Any

UNKNOWN_REASON = "UNKNOWN_FAILURE_REASON"


class StartError(Exception):
    """The simulator cannot start; the text is the one line a person reads."""


class Unauthorized(Exception):
    """The bearer token was not accepted. `reason` is for the request log only: the wire says nothing more."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class ApiError(Exception):
    """An HTTP error with the gateway's body `{error, error_details, message}`."""

    def __init__(self, status: int, error: str, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.error = error
        self.message = message

    def body(self) -> dict[str, Any]:
        """The JSON body as the venue writes it: the text twice."""
        return {"error": self.error, "error_details": self.message, "message": self.message}


def invalid_argument(message: str) -> ApiError:
    """HTTP 400 for a request that cannot be read."""
    return ApiError(400, "INVALID_ARGUMENT", message)


@dataclass(frozen=True)
class Refusal:
    """A business refusal. Coinbase spreads the reason over three fields; the recorded replies show three habits:

    `code` alone (the code in `error` and `new_order_failure_reason`), `preview` alone (only in
    `preview_failure_reason`, while `error` says UNKNOWN), and both (funds: `error` and `preview_failure_reason`).
    """

    code: str = ""
    preview: str = ""
    message: str = ""

    def envelope(self, configuration: Any) -> dict[str, Any]:
        """The reply to create: HTTP 200 with `success: false`."""
        response: dict[str, Any] = {
            "error": self.code or UNKNOWN_REASON,
            "message": self.message,
            "error_details": "",
        }
        body: dict[str, Any] = {"success": False}
        if self.preview:
            response["preview_failure_reason"] = self.preview
        if self.code and self.preview:
            response["new_order_failure_reason"] = UNKNOWN_REASON
        elif self.code:
            response["new_order_failure_reason"] = self.code
            body |= {"failure_reason": UNKNOWN_REASON, "order_id": ""}
        return body | {"error_response": response, "order_configuration": configuration}

    def preview_error(self) -> str:
        """The entry of `errs` in a preview reply."""
        return self.preview or f"PREVIEW_{self.code}"


class Refused(Exception):
    """Raised by validation; carries the refusal."""

    def __init__(self, code: str = "", preview: str = "", message: str = "") -> None:
        super().__init__(code or preview)
        self.refusal = Refusal(code, preview, message)
