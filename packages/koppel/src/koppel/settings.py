"""Django's settings, from environment variables alone. `docs/operations.md` lists them.

`DATABASE_URL` is the application role: neither owner nor superuser, so that row level security holds for it.
`KOPPEL_OWNER_DATABASE_URL` is used by `koppel migrate` and by nothing else.
"""

import os
from collections.abc import Callable
from ipaddress import IPv4Network, IPv6Network, ip_network
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import SplitResult, unquote, urlsplit
from zoneinfo import ZoneInfo

from django.core.exceptions import ImproperlyConfigured
from psycopg.conninfo import conninfo_to_dict

from koppel.kit.database.replication.hosts import connection_limits
from koppel.kit.http.calls_in_progress import token_stop_seconds
from koppel.kit.http.name_servers import parse_name_server
from koppel.kit.http.siem_url import parse_siem_url
from koppel.kit.tenancy.installation_number import parse_installation_id, parse_installation_number
from koppel.web.build.built import COLLECTED

T = TypeVar("T")
ROOT = Path(__file__).resolve().parent


def _read(reader: Callable[[str], T], name: str, text: str) -> T:
    """Read a variable.

    Raises `ImproperlyConfigured` with a sentence that names it, but not its value: it may hold a password.
    """
    try:
        return reader(text)
    except (ValueError, KeyError):
        raise ImproperlyConfigured(
            f"{name} is set to something that Koppel cannot read; "
            f"docs/operations.md says under Settings what it may be."
        ) from None


def _mail_server(url: str) -> tuple[SplitResult, int | None]:
    parts = urlsplit(url)
    return parts, parts.port


def _time_outs() -> str:
    """Return PostgreSQL's options that bound statements and waits for locks, by the kind of process.

    A page is over within seconds, and a job within minutes. Commands of an operator may take as long as they
    need.
    """
    match os.environ.get("KOPPEL_PROCESS", ""):
        case "web":
            return "-c statement_timeout=60s -c lock_timeout=10s"
        case "worker":
            return "-c statement_timeout=15min -c lock_timeout=60s"
        case _:
            return "-c lock_timeout=5min"


def _database(url: str, time_outs: str = "") -> dict[str, Any]:
    """Return Django's description of the database behind a `postgresql://` URL. Options of the URL (sslmode,
    several hosts …) are kept.
    """
    parts: dict[str, Any] = conninfo_to_dict(url) if url else {}
    standard_keys = {"dbname", "user", "password", "host", "port"}
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": parts.get("dbname", "koppel"),
        "USER": parts.get("user", "koppel_app"),
        "PASSWORD": parts.get("password", ""),
        "HOST": parts.get("host", "127.0.0.1"),
        "PORT": str(parts.get("port", "")),
        "CONN_MAX_AGE": 300,
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "koppel",
            **connection_limits(url),
            # A process that stopped in a transaction must not hold its locks for
            # ever; closing a large Excel file takes time.
            "options": f"-c idle_in_transaction_session_timeout=2min {time_outs}",
            **{key: value for key, value in parts.items() if key not in standard_keys},
        },
    }


DATABASES = {
    "default": _database(os.environ.get("DATABASE_URL", ""), _time_outs()),
    # Migrations wait for running transactions, and rewrite tables of any size.
    "owner": _database(os.environ.get("KOPPEL_OWNER_DATABASE_URL", "")),
}
DATABASES["owner"]["CONN_MAX_AGE"] = 0
OWNER_DATABASE_URL = os.environ.get("KOPPEL_OWNER_DATABASE_URL", "")

try:
    INSTALLATION_NUMBER = parse_installation_number(os.environ.get("KOPPEL_INSTALLATION_NUMBER", ""))
    INSTALLATION_ID = parse_installation_id(os.environ.get("KOPPEL_INSTALLATION_ID", ""))
except ValueError as error:
    raise ImproperlyConfigured(str(error)) from None

SECRET_KEY = os.environ.get("KOPPEL_SECRET_KEY", "")
if not SECRET_KEY:
    SECRET_KEY = "only-for-checks-that-store-nothing"  # noqa: S105 - `koppel check` and `koppel web` refuse to run with it

VAULT_KEYS = os.environ.get("KOPPEL_VAULT_KEYS", "")
"""`id:base64-of-32-bytes[,older-id:…]`, newest first; see `koppel.kit.encryption.ciphers.Keyring.parse`."""

AUDIT_KEYS = os.environ.get("KOPPEL_AUDIT_KEYS", "")
"""Sign the heads of the audit log, newest first; see `koppel.audit.signing_keys`."""
AUDIT_SIEM_URL = _read(parse_siem_url, "KOPPEL_AUDIT_SIEM_URL", os.environ.get("KOPPEL_AUDIT_SIEM_URL", ""))
"""Where signed heads go besides the log; '' = nowhere."""

DATA_DIR = os.environ.get("KOPPEL_DATA_DIR", "")
"""Where `secrets.json` is, when the keys come from there."""

PUBLIC_URL = os.environ.get("KOPPEL_PUBLIC_URL", "http://localhost:8400").rstrip("/")
"""Where people reach Koppel; the redirect address of consents is `/connections/consent/callback` below it."""

DEBUG = False
ALLOWED_HOSTS = [urlsplit(PUBLIC_URL).hostname or "localhost", "localhost", "127.0.0.1"]
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL]

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.humanize",
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "procrastinate.contrib.django",
    "koppel.kit",
    "koppel.audit",
    "koppel.organisations",
    "koppel.issues",
    "koppel.notifications",
    "koppel.connections",
    "koppel.company_registers",
    "koppel.administrations",
    "koppel.books",
    "koppel.sync",
    "koppel.onboarding",
    "koppel.web",
    "koppel.api",
]

ACCESS_LOG = os.environ.get("KOPPEL_ACCESS_LOG", "")
"""The file of the web's access log; '' = none."""

MIDDLEWARE = [
    "koppel.web.server.request_log.AccessLogMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "koppel.web.auth.api_authentication.BearerMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "koppel.web.auth.middleware.LanguageMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "koppel.web.auth.middleware.ContentSecurityPolicyMiddleware",
    "koppel.web.auth.middleware.NoStoreMiddleware",
    "koppel.web.auth.login_throttling.KnownBrowserMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "koppel.web.auth.middleware.ActorMiddleware",
]

ROOT_URLCONF = "koppel.urls"
WSGI_APPLICATION = "koppel.web.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [ROOT / "web" / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "koppel.web.frame.context.frame",
            ],
            "builtins": ["koppel.web.templatetags.components"],
        },
    }
]

AUTH_USER_MODEL = "organisations.User"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_FORMS = {
    "reset_password": "koppel.web.auth.password_forms.ResetPasswordForm",
    "reset_password_from_key": "koppel.web.auth.password_forms.ResetPasswordKeyForm",
    "change_password": "koppel.web.auth.password_forms.ChangePasswordForm",
}
ACCOUNT_RATE_LIMITS = {"reset_password": "20/m/ip,3/h/key"}
"""`key` is the address that gets the link: many senders together must not fill a mailbox."""
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_ADAPTER = "koppel.web.auth.allauth_adapters.AccountAdapter"
ACCOUNT_PREVENT_ENUMERATION = True
ACCOUNT_EMAIL_UNKNOWN_ACCOUNTS = False  # the mail would invite strangers to sign up
ACCOUNT_LOGOUT_ON_GET = False
MFA_ADAPTER = "koppel.web.auth.allauth_adapters.MfaAdapter"
MFA_FORMS = {
    "authenticate": "koppel.web.auth.second_step.AuthenticateForm",
    "reauthenticate": "koppel.web.auth.second_step.ReauthenticateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_ALLOW_UNVERIFIED_EMAIL = True
MFA_TOTP_ISSUER = "Koppel"
MFA_TOTP_TOLERANCE = 1
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = PUBLIC_URL.startswith("http://")
"""Passkeys need https; over http browsers allow them on localhost alone."""
CACHES = {
    "default": {
        "BACKEND": "django.core.cache.backends.db.DatabaseCache",
        "LOCATION": "django_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}
"""In the database, so that throttling at sign-in counts over all web processes. Django's own limit is 300
entries: whoever filled them would reset every count.
"""
ALLAUTH_TRUSTED_PROXY_COUNT = _read(int, "KOPPEL_PROXIES", os.environ.get("KOPPEL_PROXIES", "0"))
"""How many of our proxies stand before the web process: this number of addresses at the end of
`X-Forwarded-For` is trusted.
"""
if ALLAUTH_TRUSTED_PROXY_COUNT:
    # What the proxy must set, whatever the caller said: whether people came by https.
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
LOGIN_URL = "account_login"
LOGIN_REDIRECT_URL = "web:dashboard"

API_REQUESTS_PER_MINUTE = _read(
    int, "KOPPEL_API_REQUESTS_PER_MINUTE", os.environ.get("KOPPEL_API_REQUESTS_PER_MINUTE", "600")
)
"""Per API token, over all web processes."""
SESSION_REQUESTS_PER_MINUTE = _read(
    int, "KOPPEL_SESSION_REQUESTS_PER_MINUTE", os.environ.get("KOPPEL_SESSION_REQUESTS_PER_MINUTE", "600")
)
"""Per browser session and web process; an organisation has five times as many for all of its sessions."""

WEB_THREADS = _read(int, "KOPPEL_WEB_THREADS", os.environ.get("KOPPEL_WEB_THREADS", "8"))
"""How many requests one web process works on at a time; `koppel web --threads` sets it."""

TOKEN_STOP_SECONDS = _read(
    lambda text: token_stop_seconds({"KOPPEL_TOKEN_STOP_SECONDS": text}),
    "KOPPEL_TOKEN_STOP_SECONDS",
    os.environ.get("KOPPEL_TOKEN_STOP_SECONDS", ""),
)
"""How long a program that is told to stop waits for answers of token endpoints that are under way."""

SESSION_COOKIE_NAME = "koppel_session"
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 14 * 24 * 3600
CSRF_COOKIE_NAME = "koppel_csrf"
LANGUAGE_COOKIE_NAME = "koppel_language"
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = PUBLIC_URL.startswith("https://")
SECURE_HSTS_SECONDS = 31536000 if SESSION_COOKIE_SECURE else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

LANGUAGE_CODE = "en"
LANGUAGES = [("en", "English"), ("nl", "Nederlands")]
LOCALE_PATHS = sorted([*ROOT.glob("*/locale"), *(ROOT / "connectors").glob("*/locale")])
USE_I18N = True
USE_TZ = True
TIME_ZONE = str(_read(ZoneInfo, "KOPPEL_TIME_ZONE", os.environ.get("KOPPEL_TIME_ZONE", "Europe/Amsterdam")))
USE_THOUSAND_SEPARATOR = True
FORMAT_MODULE_PATH = "koppel.web.formats"

STATIC_URL = "/static/"
STATIC_ROOT = COLLECTED if COLLECTED.is_dir() else None
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "koppel.web.build.static_files.HashedStaticFiles"},
}
WHITENOISE_USE_FINDERS = True
"""For plain names: of an error page, and of what was not collected."""
WHITENOISE_MAX_AGE = 60
"""In seconds, for plain names. Names with a hash are kept for good."""

_mail_directory = os.environ.get("KOPPEL_MAIL_DIR", "")
SENDS_MAIL = not _mail_directory
"""False: what Koppel writes stays on this machine, in files, and pages that promise a mail say so."""
EMAIL_BACKEND = "koppel.kit.quarantine.email_backends." + (
    "FileBackend" if _mail_directory else "SmtpBackend"
)
EMAIL_FILE_PATH = _mail_directory or None
_smtp, _smtp_port = _read(
    _mail_server, "KOPPEL_SMTP_URL", os.environ.get("KOPPEL_SMTP_URL", "smtp://localhost:25")
)
EMAIL_HOST, EMAIL_PORT = _smtp.hostname or "localhost", _smtp_port or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = unquote(_smtp.username or ""), unquote(_smtp.password or "")
EMAIL_USE_SSL = _smtp.scheme == "smtps" and EMAIL_PORT == 465
EMAIL_USE_TLS = _smtp.scheme == "smtps" and not EMAIL_USE_SSL
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = os.environ.get("KOPPEL_MAIL_FROM", f"Koppel <koppel@{ALLOWED_HOSTS[0]}>")


def _webhook_network(text: str) -> tuple[IPv4Network | IPv6Network, int | None]:
    """Return a network and the id of the organisation behind its @; None without one."""
    network, at, organisation_id = text.partition("@")
    return ip_network(network, strict=False), int(organisation_id) if at else None


_webhook_networks = [
    _read(_webhook_network, "KOPPEL_WEBHOOK_NETWORKS", text)
    for text in os.environ.get("KOPPEL_WEBHOOK_NETWORKS", "").replace(" ", "").split(",")
    if text
]
WEBHOOK_NETWORKS = tuple(network for network, organisation_id in _webhook_networks if organisation_id is None)
"""Networks of one's own in which webhooks of every organisation may stand, besides public addresses."""
ORGANISATION_WEBHOOK_NETWORKS = {
    key: tuple(network for network, organisation_id in _webhook_networks if organisation_id == key)
    for _network, key in _webhook_networks
    if key is not None
}
"""Likewise for one organisation, by its id."""

_sso_networks = os.environ.get("KOPPEL_SSO_NETWORKS", "").replace(" ", "").split(",")
SSO_NETWORKS = tuple(
    _read(lambda text: ip_network(text, strict=False), "KOPPEL_SSO_NETWORKS", text)
    for text in _sso_networks
    if text
)
"""Networks of one's own in which identity providers may stand, besides public addresses."""

DNS_SERVERS = tuple(
    _read(parse_name_server, "KOPPEL_DNS_SERVERS", text)
    for text in os.environ.get("KOPPEL_DNS_SERVERS", "").replace(" ", "").split(",")
    if text
)
"""Name servers that are asked about the records of e-mail domains; () = those of the system."""

SANDBOX_URL = os.environ.get("KOPPEL_SANDBOX_URL", "").rstrip("/")
"""Where a sandbox listens, for app registrations of that environment; '' = where its connector thinks."""

IS_DEMO = os.environ.get("KOPPEL_DEMO", "") == "1"
"""Whether pages say that this is the demo, where mail is stored instead of sent; the demo sets it."""
STYLEGUIDE = os.environ.get("KOPPEL_STYLEGUIDE", "") == "1"
"""Whether `/styleguide` shows the components of pages; the demo sets it."""

_twin = os.environ.get("KOPPEL_REGISTERS_URL", "").rstrip("/")
REGISTERS = os.environ.get("KOPPEL_REGISTERS", "kvk,brreg,prh,vies").replace(" ", "").split(",")
"""Which registers are asked; an empty text asks none."""
REGISTER_URLS = {
    "kvk": os.environ.get("KOPPEL_KVK_URL", "https://api.kvk.nl"),
    "brreg": "https://data.brreg.no",
    "prh": "https://avoindata.prh.fi",
    "vies": "https://ec.europa.eu",
}
if _twin:  # a program that plays them all, such as the sandbox
    REGISTER_URLS = {name: f"{_twin}/{name}" for name in REGISTER_URLS}
KVK_API_KEY = os.environ.get("KOPPEL_KVK_API_KEY", "sandbox" if _twin else "")

# The web server refuses larger bodies before Django reads them: `koppel.web.server.limits`.
DATA_UPLOAD_MAX_MEMORY_SIZE = 10 * 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 50_000
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
PROCRASTINATE_AUTODISCOVER_MODULE_NAME = None
PROCRASTINATE_IMPORT_PATHS = [
    f"{app}.tasks" for app in INSTALLED_APPS if (ROOT / app.removeprefix("koppel.") / "tasks.py").exists()
]
"""Imported by web and worker, elsewhere by the first job that is enqueued: most commands do without."""
LOGGING_CONFIG = None
"""`koppel.kit.logging.setup` configures logging when a command starts."""
