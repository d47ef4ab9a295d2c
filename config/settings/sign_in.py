"""How people show who they are: the second factor, and how long a sign-in holds. In words: `docs/sign-in.md`."""

from config.env import env

# A sign-in ends after so long without anything done by its person, and after so long altogether.
SESSION_IDLE_S = env.integer("SESSION_IDLE_S", default=1800, minimum=60, maximum=86_400)
SESSION_COOKIE_AGE = env.integer("SESSION_LASTS_S", default=43_200, minimum=300, maximum=604_800)
SESSION_ENGINE = "apps.accounts.session_store"

# Approvers, risk, operators and superusers do nothing without a second factor. Production asks for it by default.
SECOND_FACTOR_REQUIRED = env.flag("SECOND_FACTOR_REQUIRED", default=False)

MFA_ADAPTER = "apps.accounts.second_factor.SecondFactorAdapter"
MFA_FORMS = {"activate_totp": "apps.accounts.second_factor.ActivateCodesForm"}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Aika"
# A used code is remembered for one period: accepting the codes beside the current one would outlive that.
MFA_TOTP_TOLERANCE = 0
# A key alone, found in a drawer, is not a person: it must have asked for a PIN, a finger or a face.
MFA_WEBAUTHN_USER_VERIFICATION = "required"
# An administrator enters addresses here; there is nobody who signs up with a stranger's.
MFA_ALLOW_UNVERIFIED_EMAIL = True
