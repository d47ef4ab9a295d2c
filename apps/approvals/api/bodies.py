"""What a vote over the API says."""

from apps.approvals.forms import ASSERTION_CHARS_MAX
from apps.approvals.services.written import COMMENT_CHARS_MAX
from apps.common.api.bodies import Body, Text


class ApproveBody(Body):
    """What the person saw, as GET approvals/{id} gave it in `vote`: nothing of it is trusted, all of it is compared."""

    digest = Text(chars_max=64, chars_min=1, required=True, about="Of the terms that were shown.")
    signed_quote = Text(chars_max=2000, chars_min=1, required=True, about="The price that was shown, signed.")
    policy_version = Text(chars_max=64, chars_min=1, required=True, about="The version in force when it was shown.")
    tier = Text(chars_max=200, chars_min=1, required=True, about="The approvals that were needed when it was shown.")
    comment = Text(chars_max=COMMENT_CHARS_MAX, default="")
    difference = Text(
        chars_max=COMMENT_CHARS_MAX,
        default="",
        about="What is different this time, in 20 characters or more; needed where the tier has `difference`.",
    )
    code = Text(chars_max=16, default="", about="Of an authenticator app, where the tier asks for a second factor.")
    assertion = Text(
        chars_max=ASSERTION_CHARS_MAX,
        default="",
        about="Instead of a code: what a security key answered to POST approvals/{id}/challenge, as JSON text.",
    )


class DeclineBody(Body):
    """A no, and why."""

    digest = Text(chars_max=64, chars_min=1, required=True, about="Of the terms that were shown.")
    comment = Text(chars_max=COMMENT_CHARS_MAX, chars_min=1, required=True, about="The proposer learns from it.")
