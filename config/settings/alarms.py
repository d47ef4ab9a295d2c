"""How long something may stay unresolved before it is an alarm, in seconds, and how alarms get out.

What each bound is about: `apps/common/alarm_kinds.py` and `docs/alarms.md`.
"""

from config.env import env

_DAY_S = 86_400

ALARM_ORDER_NOT_CLAIMED_S = env.integer("ALARM_ORDER_NOT_CLAIMED_S", default=60, minimum=5, maximum=_DAY_S)
ALARM_ORDER_IN_FLIGHT_S = env.integer("ALARM_ORDER_IN_FLIGHT_S", default=60, minimum=5, maximum=_DAY_S)
ALARM_ORDER_NOT_READ_S = env.integer("ALARM_ORDER_NOT_READ_S", default=120, minimum=5, maximum=_DAY_S)
ALARM_ORDER_OVERDUE_S = env.integer("ALARM_ORDER_OVERDUE_S", default=120, minimum=5, maximum=_DAY_S)
ALARM_CANCEL_NOT_CONFIRMED_S = env.integer("ALARM_CANCEL_NOT_CONFIRMED_S", default=60, minimum=5, maximum=_DAY_S)
ALARM_FILLS_LATE_S = env.integer("ALARM_FILLS_LATE_S", default=120, minimum=5, maximum=_DAY_S)
# These two count back from the end: this long before it, and never in the first half of the time there was.
ALARM_PROPOSAL_EXPIRES_WITHIN_S = env.integer("ALARM_PROPOSAL_EXPIRES_WITHIN_S", default=300, minimum=1, maximum=_DAY_S)
ALARM_SECOND_PERSON_EXPIRES_WITHIN_S = env.integer(
    "ALARM_SECOND_PERSON_EXPIRES_WITHIN_S", default=600, minimum=1, maximum=_DAY_S
)
ALARM_PROPOSAL_NOT_EXPIRED_S = env.integer("ALARM_PROPOSAL_NOT_EXPIRED_S", default=60, minimum=5, maximum=_DAY_S)
ALARM_HALT_NOT_CLEARED_S = env.integer("ALARM_HALT_NOT_CLEARED_S", default=60, minimum=5, maximum=_DAY_S)
ALARM_DIFFERENCE_OPEN_S = env.integer("ALARM_DIFFERENCE_OPEN_S", default=3600, minimum=5, maximum=30 * _DAY_S)
ALARM_MARKET_FACTS_OLD_S = env.integer("ALARM_MARKET_FACTS_OLD_S", default=120, minimum=30, maximum=_DAY_S)
# From two seconds on prices of a venue whose clock is ahead are refused. What the way there took does not count.
ALARM_VENUE_CLOCK_OFF_S = env.integer("ALARM_VENUE_CLOCK_OFF_S", default=2, minimum=1, maximum=3600)
# Signs of life come every ten seconds or so: a bound below that would cry wolf.
ALARM_FEED_DOWN_S = env.integer("ALARM_FEED_DOWN_S", default=60, minimum=30, maximum=_DAY_S)
ALARM_PRICES_SILENT_S = env.integer("ALARM_PRICES_SILENT_S", default=60, minimum=30, maximum=_DAY_S)
ALARM_USER_CHANNEL_SILENT_S = env.integer("ALARM_USER_CHANNEL_SILENT_S", default=120, minimum=30, maximum=_DAY_S)
ALARM_BEAT_SILENT_S = env.integer("ALARM_BEAT_SILENT_S", default=60, minimum=30, maximum=_DAY_S)
ALARM_WORKER_SILENT_S = env.integer("ALARM_WORKER_SILENT_S", default=60, minimum=30, maximum=_DAY_S)
ALARM_AUDIT_CHECKPOINT_LATE_S = env.integer("ALARM_AUDIT_CHECKPOINT_LATE_S", default=120, minimum=30, maximum=_DAY_S)
ALARM_AUDIT_VERIFICATION_LATE_S = env.integer(
    "ALARM_AUDIT_VERIFICATION_LATE_S", default=2 * _DAY_S, minimum=3600, maximum=60 * _DAY_S
)
# A server that is away for a moment, or a new model whose space is being filled, is no alarm.
ALARM_INDEX_BEHIND_S = env.integer("ALARM_INDEX_BEHIND_S", default=900, minimum=60, maximum=_DAY_S)
ALARM_NOT_DELIVERED_S = env.integer("ALARM_NOT_DELIVERED_S", default=120, minimum=5, maximum=_DAY_S)

# An alarm nobody acknowledges is told again after the first of these, then after twice as long, up to the second.
ALARM_REPEAT_AFTER_S = env.integer("ALARM_REPEAT_AFTER_S", default=300, minimum=10, maximum=_DAY_S)
ALARM_REPEAT_AFTER_MAX_S = env.integer("ALARM_REPEAT_AFTER_MAX_S", default=3600, minimum=10, maximum=7 * _DAY_S)

# A signed request to this address for each telling; what is refused: apps/audit/rules/webhooks.py.
ALARM_WEBHOOK_URL = env.url("ALARM_WEBHOOK_URL", schemes=frozenset({"http", "https"}))
ALARM_WEBHOOK_SECRET = env.text("ALARM_WEBHOOK_SECRET")
ALARM_EMAIL_TO = env.words("ALARM_EMAIL_TO")

# The mail server, also for forgotten passwords.
EMAIL_HOST = env.text("EMAIL_HOST", "localhost")
EMAIL_PORT = env.integer("EMAIL_PORT", default=587, minimum=1, maximum=65_535)
EMAIL_HOST_USER = env.text("EMAIL_HOST_USER")
EMAIL_HOST_PASSWORD = env.text("EMAIL_HOST_PASSWORD")
EMAIL_SECURITY = env.choice("EMAIL_SECURITY", default="starttls", choices=frozenset({"starttls", "tls", "none"}))
EMAIL_USE_TLS = EMAIL_SECURITY == "starttls"
EMAIL_USE_SSL = EMAIL_SECURITY == "tls"
EMAIL_TIMEOUT = 5  # seconds, for each step of an exchange
DEFAULT_FROM_EMAIL = env.text("EMAIL_FROM", "aika@localhost")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# Whoever reads /metrics must know it. Without one, nobody may, but a person's own machine locally.
METRICS_TOKEN = env.text("METRICS_TOKEN")
