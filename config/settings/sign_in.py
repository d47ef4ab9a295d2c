"""How people show who they are: the second factor, and how long a sign-in holds. In words: `docs/sign-in.md`."""

from datetime import timedelta

from config.env import env

# So many wrong passwords for one name from one address lock that name there, for so long.
SIGN_IN_FAILURES_MAX = env.integer("SIGN_IN_FAILURES_MAX", default=5, minimum=2, maximum=100)
SIGN_IN_LOCKED_S = env.integer("SIGN_IN_LOCKED_S", default=900, minimum=60, maximum=86_400)
AXES_FAILURE_LIMIT = SIGN_IN_FAILURES_MAX
AXES_COOLOFF_TIME = timedelta(seconds=SIGN_IN_LOCKED_S)
# Somebody else's attempts lock nobody out of their own place.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_USERNAME_CALLABLE = "apps.accounts.lockouts.name_tried"
AXES_CLIENT_IP_CALLABLE = "apps.accounts.lockouts.address_of"
AXES_LOCKOUT_CALLABLE = "apps.accounts.views.locked.locked"
# What happened is in our own audit log, and what is locked on the page of the person.
AXES_DISABLE_ACCESS_LOG = True
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False

# A stranger's address gets no mail; who is here and who is not are told the same, after the same work.
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False
ACCOUNT_FORMS = {"reset_password": "apps.accounts.views.reset_form.AskForLinkForm"}

# A sign-in ends after so long without anything done by its person, and after so long altogether.
SESSION_IDLE_S = env.integer("SESSION_IDLE_S", default=1800, minimum=60, maximum=86_400)
SESSION_COOKIE_AGE = env.integer("SESSION_LASTS_S", default=43_200, minimum=300, maximum=604_800)
SESSION_ENGINE = "apps.accounts.session_store"

# Approvers, risk, operators and superusers do nothing without a second factor. Production asks for it by default.
SECOND_FACTOR_REQUIRED = env.flag("SECOND_FACTOR_REQUIRED", default=False)

MFA_ADAPTER = "apps.accounts.second_factor.SecondFactorAdapter"
MFA_FORMS = {
    "activate_totp": "apps.accounts.second_factor.ActivateCodesForm",
    "authenticate": "apps.accounts.views.code_forms.SignInByCodeForm",
    "authenticate_webauthn": "apps.accounts.views.key_forms.SignInByKeyForm",
    "reauthenticate": "apps.accounts.views.code_forms.ReauthenticateByCodeForm",
    "reauthenticate_webauthn": "apps.accounts.views.key_forms.ReauthenticateByKeyForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_TOTP_ISSUER = "Aika"
# A used code is remembered for one period: accepting the codes beside the current one would outlive that.
MFA_TOTP_TOLERANCE = 0
# A key alone, found in a drawer, is not a person: it must have asked for a PIN, a finger or a face.
MFA_WEBAUTHN_USER_VERIFICATION = "required"
# An administrator enters addresses here; there is nobody who signs up with a stranger's.
MFA_ALLOW_UNVERIFIED_EMAIL = True
