"""What every request passes on its way in, and its answer on the way out, outermost first."""

MIDDLEWARE = [
    "apps.common.request_log.RequestLogMiddleware",
    # Before all that may answer or refuse by itself: no answer goes without these headers.
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "apps.common.answer_headers.SecurityHeadersMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "apps.common.answer_headers.NoStoreMiddleware",
    "apps.common.methods.MethodsMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "apps.accounts.middleware.LastSeenMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "apps.accounts.middleware.SecondFactorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "axes.middleware.AxesMiddleware",
]
