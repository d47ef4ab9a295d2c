"""Settings of a server installation: nothing embedded, nothing guessed. A missing variable stops the start by name."""

from config.env import env
from config.settings.base import *  # noqa: F403  settings modules build on each other
from config.settings.layers import MIDDLEWARE

ENVIRONMENT = "production"
for _name in ("DATABASE_URL", "REDIS_URL", "QDRANT_URL", "TOKEN_ENCRYPTION_KEY"):
    env.required(_name)  # read in base.py, where they may be absent
SECRET_KEY = env.required("SECRET_KEY")
env.required("ALLOWED_HOSTS")
ALLOWED_HOSTS = list(env.words("ALLOWED_HOSTS"))
# A leading dot allows every subdomain; an origin writes that with a star.
_origins = tuple(f"https://{'*' if host.startswith('.') else ''}{host}" for host in ALLOWED_HOSTS)
CSRF_TRUSTED_ORIGINS = list(env.words("CSRF_TRUSTED_ORIGINS", default=_origins))

# The proxy in front must set this header itself and drop a visitor's own, or anybody could claim to use TLS.
if env.flag("BEHIND_TLS_PROXY", default=False):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    # Failed attempts are counted per visitor and not per proxy, and a key may name its networks: the last address that
    # the proxy put into X-Forwarded-For.
    ALLAUTH_TRUSTED_PROXY_COUNT = TRUSTED_PROXY_COUNT = 1
SECOND_FACTOR_REQUIRED = env.flag("SECOND_FACTOR_REQUIRED", default=True)
ACCOUNT_DEFAULT_HTTP_PROTOCOL = "https"
SECURE_SSL_REDIRECT = True
SECURE_HSTS_SECONDS = 31_536_000
SECURE_HSTS_INCLUDE_SUBDOMAINS = True
SECURE_HSTS_PRELOAD = True

# __Host- binds a cookie to this very host, over TLS only: a neighbouring subdomain cannot plant one.
SESSION_COOKIE_NAME = "__Host-aika-session"
SESSION_COOKIE_SECURE = True
CSRF_COOKIE_NAME = "__Host-aika-csrf"
CSRF_COOKIE_SECURE = True

# Behind what puts headers on every answer and leads to TLS, before all that only pages need.
_files = MIDDLEWARE.index("django.middleware.security.SecurityMiddleware") + 1
MIDDLEWARE = [*MIDDLEWARE[:_files], "whitenoise.middleware.WhiteNoiseMiddleware", *MIDDLEWARE[_files:]]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
}
