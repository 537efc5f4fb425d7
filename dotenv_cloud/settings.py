"""The settings, all from the environment (docs/installation.md, "Environment variables").

Safe by default: nothing secret has a default outside the demo (DOTENV_DEMO=1, set by `make run`)
and the tests (DOTENV_TEST=1, set by `make test`).
"""

from __future__ import annotations

import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from dotenv_cloud import environment
from dotenv_cloud.demo import embedded
from dotenv_cloud.observability.logging import configuration

PACKAGE_DIR = Path(__file__).resolve().parent
BASE_DIR = PACKAGE_DIR.parent

# Each variable may also be given as NAME_FILE, the path of a file that holds it.
env = environ.FileAwareEnv()

DEMO: bool = env.bool("DOTENV_DEMO", default=False)
TESTING: bool = env.bool("DOTENV_TEST", default=False)
PRODUCTION = not (DEMO or TESTING)

DATA_DIR = Path(env.str("DATA_DIR", default="") or ".data").resolve()
if TESTING:
    # Never the demo's database. Parallel test processes get a server each, as a transaction in one
    # database holds back sealing in all databases of its server.
    DATA_DIR = DATA_DIR / "tests" / os.environ.get("PYTEST_XDIST_WORKER", "")


def required(variable: str, remedy: str) -> str:
    value: str = env.str(variable, default="")
    if not value:
        raise ImproperlyConfigured(
            f"{variable} is not set. {remedy}"
            " (To try the service out, use `make run` or `dotenv-cloud run`.)"
        )
    return value


# -- Secrets and hosts

DEBUG = False

if TESTING:
    SECRET_KEY = "only-the-tests-are-signed-with-this-key-which-guards-nothing"  # noqa: S105
    MASTER_KEYS_TEXT = f"1:{'dGVzdHMt' * 5}dGU="
    SIGNING_KEYS_TEXT = f"1:{'dGVzdHMt' * 5}dGU="
    ALLOWED_HOSTS = ["testserver", "localhost", "127.0.0.1"]
elif DEMO:
    _secrets = environment.demo_secrets(DATA_DIR)
    SECRET_KEY = env.str("SECRET_KEY", default=_secrets.secret_key)
    MASTER_KEYS_TEXT = env.str("MASTER_KEYS", default=_secrets.master_keys)
    SIGNING_KEYS_TEXT = env.str("AUDIT_SIGNING_KEYS", default=_secrets.signing_keys)
    ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=["localhost", "127.0.0.1", "[::1]"])
else:
    SECRET_KEY = required(
        "SECRET_KEY", "Set it to 50 or more random characters, such as $(openssl rand -base64 48)."
    )
    MASTER_KEYS_TEXT = required(
        "MASTER_KEYS",
        "Set it to 1:$(openssl rand -base64 32) and keep a copy: without it, all keys are lost.",
    )
    # Only the process that makes evidence needs them: a web process should not know them.
    SIGNING_KEYS_TEXT = env.str("AUDIT_SIGNING_KEYS", default="")
    ALLOWED_HOSTS = [
        host.strip()
        for host in required(
            "ALLOWED_HOSTS",
            "Set it to the host names that people use, such as dotenv.example.com.",
        ).split(",")
    ]

# The base of links in e-mails. Never the Host of a request, which its sender chooses.
if TESTING:
    BASE_URL = "http://testserver"
elif DEMO:
    BASE_URL = env.str("BASE_URL", default=f"http://127.0.0.1:{os.environ.get('PORT') or 8000}")
else:
    BASE_URL = required(
        "BASE_URL", "Set it to the address that people use, such as https://dotenv.example.com."
    )
BASE_URL = environment.base_url(BASE_URL, "BASE_URL")

SECRET_KEY_FALLBACKS: list[str] = env.list("SECRET_KEY_FALLBACKS", default=[])
MASTER_KEY_CURRENT, MASTER_KEYS = environment.master_keys(MASTER_KEYS_TEXT)
del MASTER_KEYS_TEXT

# -- Evidence: who signs the checkpoints of the log, and as what

AUDIT_SIGNING_KEYS = environment.signing_keys(SIGNING_KEYS_TEXT)
del SIGNING_KEYS_TEXT
if TESTING:
    AUDIT_ORIGIN = "dotenv.example.com"
elif DEMO:
    AUDIT_ORIGIN = env.str("AUDIT_ORIGIN", default="localhost")
else:
    AUDIT_ORIGIN = required(
        "AUDIT_ORIGIN",
        "Set it to what this service is called in signed checkpoints, such as dotenv.example.com,"
        " and never change it.",
    )
AUDIT_ORIGIN = environment.origin(AUDIT_ORIGIN, "AUDIT_ORIGIN")
# What was signed last of each log, where no restore of the database takes it back. Only the process
# that signs needs it.
if PRODUCTION and AUDIT_SIGNING_KEYS:
    required(
        "AUDIT_MEMORY",
        "Set it to a file that is restored with no backup of the database, such as"
        " /var/lib/dotenv-cloud/signed.",
    )
AUDIT_MEMORY = Path(env.str("AUDIT_MEMORY", default="") or DATA_DIR / "signed")
# A log's head is signed so often at most.
AUDIT_CHECKPOINT_SECONDS: float = env.float(
    "AUDIT_CHECKPOINT_SECONDS", default=0.0 if TESTING else 1.0
)
# The log of all heads gets a leaf so often; 0: never.
AUDIT_HEADS_SECONDS: float = env.float("AUDIT_HEADS_SECONDS", default=0.0 if TESTING else 60.0)
# Who witnesses it: "key url" pairs, the url being that of C2SP tlog-witness.
AUDIT_WITNESSES = environment.witnesses(env.str("AUDIT_WITNESSES", default=""), "AUDIT_WITNESSES")
# An authority that stamps checkpoints with its time (RFC 3161), and the certificates at the root of
# its own.
AUDIT_TSA_URL = environment.url(env.str("AUDIT_TSA_URL", default=""), "AUDIT_TSA_URL")
AUDIT_TSA_CA = Path(env.str("AUDIT_TSA_CA", default=""))
if AUDIT_TSA_URL:
    required("AUDIT_TSA_CA", "Set it to a PEM file with the authority's root certificates.")

# -- Database: one, through three roles (docs/installation.md, "The three database roles")

EMBEDDED_SERVER: embedded.Server | None = None
_urls = {
    "DATABASE_URL": env.str("DATABASE_URL", default=""),
    "DATABASE_OWNER_URL": env.str("DATABASE_OWNER_URL", default=""),
    "DATABASE_SEALER_URL": env.str("DATABASE_SEALER_URL", default=""),
}
if not _urls["DATABASE_URL"]:
    if PRODUCTION:
        required(
            "DATABASE_URL",
            "Set it to the application role's URL, such as"
            " postgresql://dotenv_app:password@db.internal:5432/dotenv_cloud?sslmode=verify-full.",
        )
    EMBEDDED_SERVER = embedded.at(
        DATA_DIR, env.str("POSTGRES_BIN", default=""), durable=not TESTING
    )
    _urls = {
        "DATABASE_URL": EMBEDDED_SERVER.url(embedded.APPLICATION),
        "DATABASE_OWNER_URL": EMBEDDED_SERVER.url(embedded.OWNER),
        "DATABASE_SEALER_URL": EMBEDDED_SERVER.url(embedded.SEALER),
    }


def _alias(variable: str, role: str) -> dict[str, Any]:
    """The database as seen by one role; without a URL of its own, by name only.

    A web process should not know the passwords of the other two roles, but the code that grants
    them their rights has to know their names.
    """
    if _urls[variable]:
        return environment.database(_urls[variable], variable)
    return _application | {"USER": role, "PASSWORD": "", "OPTIONS": dict(_application["OPTIONS"])}


_application = environment.database(_urls["DATABASE_URL"], "DATABASE_URL")
DATABASES: dict[str, dict[str, Any]] = {
    # All changes of a request are committed together, with their entries, or not at all.
    "default": _application | {"ATOMIC_REQUESTS": True},
    "owner": _alias("DATABASE_OWNER_URL", embedded.OWNER) | {"TEST": {"MIRROR": "default"}},
    "sealer": _alias("DATABASE_SEALER_URL", embedded.SEALER) | {"TEST": {"MIRROR": "default"}},
}

# Where the log is read from, if not from the primary.
if _replica_url := env.str("DATABASE_REPLICA_URL", default=""):
    DATABASES["replica"] = environment.database(_replica_url, "DATABASE_REPLICA_URL") | {
        "CONN_MAX_AGE": 60,
        "CONN_HEALTH_CHECKS": True,
        "TEST": {"MIRROR": "default"},
    }
    # Short: the primary answers if the replica does not.
    DATABASES["replica"]["OPTIONS"].setdefault("connect_timeout", 2)

# Connections that a process keeps for its threads; 0 opens one per thread and keeps it a minute.
_pool: int = env.int("DATABASE_POOL", default=0 if TESTING else 12)
if _pool:
    DATABASES["default"]["OPTIONS"]["pool"] = {
        "min_size": 1,
        "max_size": _pool,
        "timeout": 5,  # then 503, before all threads wait and none is left for /health/live
        # The pool waits longer after each failed attempt, up to this. Then the next request is an
        # attempt itself, so that the service is back soon after an outage.
        "reconnect_timeout": 2,
    }
else:
    DATABASES["default"]["CONN_MAX_AGE"] = 0 if TESTING else 60
    DATABASES["default"]["CONN_HEALTH_CHECKS"] = True

# A pooler in transaction mode does not support prepared statements.
if not env.bool("DATABASE_PREPARE", default=True):
    for _database in DATABASES.values():
        _database["OPTIONS"]["prepare_threshold"] = None

DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

# -- Apps and middleware

INSTALLED_APPS = [
    "dotenv_cloud",
    "audit",
    "keys",
    "organizations",
    "dotenv_cloud.admin.config.ReviewAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "guardian",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_filters",
    "django_htmx",
]

MIDDLEWARE = [
    "dotenv_cloud.observability.probes.ProbeMiddleware",
    "dotenv_cloud.proxies.TrustedProxyMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "audit.middleware.RequestContextMiddleware",
    "dotenv_cloud.observability.access_log.RequestMiddleware",
    "dotenv_cloud.pages.PageMiddleware",
    "audit.ledger.replica.ReplicaMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "audit.middleware.ActorMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]

ROOT_URLCONF = "dotenv_cloud.urls"
WSGI_APPLICATION = "dotenv_cloud.wsgi.application"
ASGI_APPLICATION = "dotenv_cloud.asgi.application"
APPEND_SLASH = False  # a redirect would lose the body of an API call

# A wheel has the templates inside this package, a checkout next to it.
_templates = PACKAGE_DIR / "templates"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [_templates if _templates.is_dir() else BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "builtins": [
                "organizations.templatetags.icons",
                "organizations.templatetags.labels",
            ],
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    },
]

# -- People

AUTH_USER_MODEL = "organizations.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
]
# The canonical e-mail address is unique: another field, which the check does not consider.
SILENCED_SYSTEM_CHECKS = ["auth.W004"]
ANONYMOUS_USER_NAME = None  # guardian must not create a user of its own
LOGIN_URL = "sign_in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign_in"
PASSWORD_RESET_TIMEOUT = 3600
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
if TESTING:
    # Everywhere else a slow hash is right, but tests sign in very often.
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# The most that one level may hold, in bytes of base64: a blob of 1 MiB.
SECRET_MAX_BYTES = env.int("SECRET_MAX_BYTES", default=1_398_104)
# The most that a client may send to rotate its key: all blobs of the project at once.
CLIENT_ROTATION_MAX_BYTES = env.int("CLIENT_ROTATION_MAX_BYTES", default=16 * 1024 * 1024)

# Requests/seconds, each overridden by a variable such as RATE_LIMIT_API=200/60.
RATE_LIMITS: dict[str, environment.Limit] = {
    name: environment.limit(
        env.str(f"RATE_LIMIT_{name.upper()}", default=default), f"RATE_LIMIT_{name.upper()}"
    )
    for name, default in {
        "api": "100/60",
        "rotate": "10/3600",
        "failed_authentication": "30/60",
        "sign_in_account": "10/900",
        "sign_in_address": "30/900",
        "password_reset": "5/3600",
        "password_reset_address": "20/3600",
        "invitation_person": "30/3600",
        "invitation_organization": "100/3600",
    }.items()
}

# -- API

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["dotenv_cloud.api.authentication.TokenAuthentication"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["rest_framework.parsers.JSONParser"],
    "DEFAULT_SCHEMA_CLASS": "dotenv_cloud.api.schema.Schema",
    "EXCEPTION_HANDLER": "dotenv_cloud.api.errors.handle",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "dotEnv Cloud",
    "DESCRIPTION": "Keeps the secrets of `.env` files, and an audit log of who changed what."
    " Send an API key or access token as `Authorization: Bearer …`.",
    "VERSION": "1",
    "SERVE_INCLUDE_SCHEMA": False,
}

# -- Monitoring

METRICS_TOKEN: str = env.str("METRICS_TOKEN", default="")
if METRICS_TOKEN and len(METRICS_TOKEN) < 16:
    raise ImproperlyConfigured(
        "METRICS_TOKEN is too easy to guess. Set it to $(openssl rand -hex 24)."
    )
HEALTH_SEALING_AGE = timedelta(seconds=env.int("HEALTH_SEALING_SECONDS", default=60))
REPLICA_MAX_LAG = timedelta(seconds=env.int("REPLICA_MAX_LAG_SECONDS", default=10))

# -- Retention: how many months of the audit log are kept besides this one (0: all), and where older
# ones are archived before they are removed

RETENTION_MONTHS: int = env.int("RETENTION_MONTHS", default=0)
_retention_directory = env.str("RETENTION_DIRECTORY", default="")
RETENTION_DIRECTORY = Path(_retention_directory) if _retention_directory else None

# -- Transport and browser

# The proxies whose X-Forwarded-… headers are trusted; none by default.
TRUSTED_PROXIES = environment.networks(env.list("TRUSTED_PROXIES", default=[]), "TRUSTED_PROXIES")
# The header that they write; the other one is then dropped, as only the client can have sent it.
PROXY_HEADER = environment.one_of(
    env.str("PROXY_HEADER", default=""), "PROXY_HEADER", ("X-Forwarded-For", "Forwarded")
)
SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")  # kept only from trusted proxies
SECURE_SSL_REDIRECT: bool = env.bool("SECURE_SSL_REDIRECT", default=PRODUCTION)
SECURE_HSTS_SECONDS: int = env.int("SECURE_HSTS_SECONDS", default=31_536_000 if PRODUCTION else 0)
SECURE_HSTS_INCLUDE_SUBDOMAINS: bool = env.bool(
    "SECURE_HSTS_INCLUDE_SUBDOMAINS", default=PRODUCTION
)
SECURE_HSTS_PRELOAD: bool = env.bool("SECURE_HSTS_PRELOAD", default=PRODUCTION)
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"

SESSION_ENGINE = "dotenv_cloud.sessions"
SESSION_COOKIE_SECURE = PRODUCTION
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE: int = env.int("SESSION_HOURS", default=12) * 3600
CSRF_COOKIE_SECURE = PRODUCTION
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SAMESITE = "Lax"
CSRF_TRUSTED_ORIGINS: list[str] = env.list("CSRF_TRUSTED_ORIGINS", default=[])

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "manifest-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
        "object-src": [NONE],
    },
}

# -- Static files

STATIC_URL = "static/"
# Where collectstatic puts files for production; demo and tests serve the sources.
STATIC_ROOT = Path(env.str("STATIC_ROOT", default="staticfiles")).resolve() if PRODUCTION else None
WHITENOISE_USE_FINDERS = not PRODUCTION  # no collectstatic before a demo or a test
WHITENOISE_AUTOREFRESH = DEMO  # an edited style sheet would be cut at its former length
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if PRODUCTION
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# -- Mail

_mail = env.email_url(
    "EMAIL_URL", default="smtp://localhost:25" if PRODUCTION else "consolemail://"
)
EMAIL_BACKEND: str = _mail["EMAIL_BACKEND"]
EMAIL_HOST: str = _mail.get("EMAIL_HOST") or ""
EMAIL_PORT: int = _mail.get("EMAIL_PORT") or 25
EMAIL_HOST_USER: str = _mail.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD: str = _mail.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS: bool = _mail.get("EMAIL_USE_TLS", False)
EMAIL_USE_SSL: bool = _mail.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL: str = env.str("DEFAULT_FROM_EMAIL", default="dotEnv Cloud <noreply@localhost>")
SERVER_EMAIL = DEFAULT_FROM_EMAIL

# -- Language and time

LANGUAGE_CODE = "en"
USE_I18N = False
TIME_ZONE = "UTC"
USE_TZ = True

# -- Logs

LOGGING = configuration(
    env.str("LOG_LEVEL", default="WARNING" if TESTING else "INFO"),
    os.environ.get("LOG_FILE") or None,
)
