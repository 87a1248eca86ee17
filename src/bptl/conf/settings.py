"""The one settings module, for every environment: what differs comes from environment variables.

It refuses to start without secrets, with wildcard hosts or with plain cookies, and names every fault at once.
"""

from __future__ import annotations

import os
import re
from datetime import timedelta
from email.utils import parseaddr
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from django.utils.translation import gettext_lazy as _

from bptl.conf import keys, names, redis_address, shown
from bptl.conf.env import Environment
from bptl.lib import log, redaction

environment = Environment(os.environ)
PACKAGE = Path(__file__).resolve().parent.parent

# -- Who we are ------------------------------------------------------------------------------------------------------

DEBUG = environment.boolean(
    "DEBUG", default=False, help="Show errors to whoever looks; for a developer's machine only."
)
SECRET_KEY = environment.secret(
    "SECRET_KEY", help="Signs sessions and forms; 32 characters or more. Make one with: openssl rand -base64 48"
)
BPTL_ENCRYPTION_KEYS = environment.secrets(
    "BPTL_ENCRYPTION_KEYS",
    help="Encrypt the secrets in the database: the first encrypts, all decrypt. "
    "Make one with: openssl rand -base64 32 | tr '+/' '-_'",
)
ALLOWED_HOSTS = environment.csv(
    "ALLOWED_HOSTS", default=["localhost", "127.0.0.1"], help="Host names under which the pages are reached."
)
if SECRET_KEY and not DEBUG:
    for weakness in keys.weaknesses_of_secret_key(SECRET_KEY):
        environment.fault("SECRET_KEY", weakness)
for weakness in keys.faults_of_encryption_keys(BPTL_ENCRYPTION_KEYS):
    environment.fault("BPTL_ENCRYPTION_KEYS", weakness)
for _host in ALLOWED_HOSTS:
    if "/" in _host or re.search(r"[^:\]]:\d+$", _host):
        environment.fault("ALLOWED_HOSTS", f"{_host!r} is no host name; leave out the scheme, the port and the path")
if "*" in ALLOWED_HOSTS and not DEBUG:
    environment.fault("ALLOWED_HOSTS", "* allows every host; name the hosts, separated by commas")

# -- How we are reached ----------------------------------------------------------------------------------------------

IS_HTTPS = environment.boolean(
    "IS_HTTPS",
    default=True,
    help="People reach the pages over https. False is for plain http on a laptop and makes cookies plain.",
)
SESSION_COOKIE_SECURE = environment.boolean(
    "SESSION_COOKIE_SECURE", default=IS_HTTPS, help="Send the session cookie over https only (as IS_HTTPS)."
)
CSRF_COOKIE_SECURE = environment.boolean(
    "CSRF_COOKIE_SECURE", default=IS_HTTPS, help="Send the form cookie over https only (as IS_HTTPS)."
)
for cookie, secure in (("SESSION_COOKIE_SECURE", SESSION_COOKIE_SECURE), ("CSRF_COOKIE_SECURE", CSRF_COOKIE_SECURE)):
    if IS_HTTPS and not secure:
        environment.fault(cookie, "is False, so logins could be read on the way; remove it, or set IS_HTTPS=False too")
    if secure and not IS_HTTPS:
        environment.fault(cookie, "is True with IS_HTTPS=False, so nobody could log in; remove one of them")
if not environment.boolean(
    "SESSION_COOKIE_HTTPONLY", default=True, help="Keep the session cookie from scripts; False is refused."
):
    environment.fault("SESSION_COOKIE_HTTPONLY", "is False, so a script could read logins; remove it")
SESSION_COOKIE_NAME = "bptl_sessionid"
SESSION_COOKIE_AGE = 3600 * environment.integer(
    "BPTL_SESSION_HOURS",
    default=12,
    minimum=1,
    maximum=24 * 14,
    help="A login ends after so many hours: a working day, as these pages can restart and discard work.",
)

BPTL_TRUSTED_PROXIES = environment.networks(
    "BPTL_TRUSTED_PROXIES",
    help="Addresses or networks of your reverse proxies, such as 10.0.3.7,10.1.0.0/16. Only from "
    "them X-Forwarded-Proto and X-Forwarded-For are believed.",
)
if "SECURE_PROXY_SSL_HEADER" in os.environ:
    environment.fault(
        "SECURE_PROXY_SSL_HEADER", "would believe the header from everybody; name the proxy in BPTL_TRUSTED_PROXIES"
    )
CSRF_TRUSTED_ORIGINS = environment.csv(
    "CSRF_TRUSTED_ORIGINS",
    help="Origins that may send forms, with scheme (https://bptl.example.com): for a proxy that sets no https header.",
)
for _origin in CSRF_TRUSTED_ORIGINS:
    if not re.fullmatch(r"https?://[^/]+", _origin):
        environment.fault("CSRF_TRUSTED_ORIGINS", f"{_origin!r} is no origin; use one such as https://bptl.example.com")
_subpath = environment.text("SUBPATH", default="", help="Path under which the pages live, such as /bptl.").strip("/")
if not re.fullmatch(r"[\w.~/-]*", _subpath, re.ASCII) or "//" in _subpath:
    environment.fault("SUBPATH", f"is {_subpath!r}; use a path such as /bptl, not a whole address")
FORCE_SCRIPT_NAME = f"/{_subpath}" if _subpath else None
# Two installations on one host must not see each other's logins.
SESSION_COOKIE_PATH = CSRF_COOKIE_PATH = LANGUAGE_COOKIE_PATH = f"/{_subpath}/" if _subpath else "/"
UWSGI_PORT = environment.port("UWSGI_PORT", default=8000, help="Port of the web process.")
UWSGI_PROCESSES = environment.integer("UWSGI_PROCESSES", default=2, minimum=1, help="Processes of the web server.")
UWSGI_THREADS = environment.integer("UWSGI_THREADS", default=4, minimum=1, help="Threads in each of them.")

# -- Logging ---------------------------------------------------------------------------------------------------------

_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL")
LOG_LEVEL = environment.text("LOG_LEVEL", default="INFO", choices=_LEVELS, help="Least severe record that is written.")
CELERY_LOGLEVEL = environment.text(
    "CELERY_LOGLEVEL", default=LOG_LEVEL, choices=_LEVELS, help="The same for the poll, work and beat processes."
)
BPTL_LOG_FORMAT = environment.text(
    "BPTL_LOG_FORMAT", default="json", choices=("json", "console"), help="One JSON object a line, or text for people."
)
LOGGING_CONFIG = None  # structlog writes everything; Django's own set-up would undo it.

# -- Traces and failures, for those who have a place for them ----------------------------------------------------------

OTEL_EXPORTER_OTLP_ENDPOINT = environment.text(
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    default="",
    help="Collector to which poll and work send traces (OTLP over HTTP), such as http://otel:4318; empty: no traces. "
    "OpenTelemetry's other variables (OTEL_TRACES_SAMPLER, OTEL_RESOURCE_ATTRIBUTES, …) hold too.",
)
OTEL_EXPORTER_OTLP_HEADERS = environment.secret(
    "OTEL_EXPORTER_OTLP_HEADERS",
    default="",
    help="Headers of what is sent to the collector, such as its key: name=value, several separated by commas.",
)
OTEL_SERVICE_NAME = environment.text(
    "OTEL_SERVICE_NAME", default="", help="What BPTL is called in traces; default bptl-poll and bptl-work."
)
environment.text(
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    default="http/protobuf",
    choices=("http/protobuf",),
    help="How traces are sent; there is one way.",
)
if OTEL_EXPORTER_OTLP_ENDPOINT and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", OTEL_EXPORTER_OTLP_ENDPOINT):
    environment.fault("OTEL_EXPORTER_OTLP_ENDPOINT", "is no http(s) address; keys belong in OTEL_EXPORTER_OTLP_HEADERS")
BPTL_TRACE_VARIABLE = environment.text(
    "BPTL_TRACE_VARIABLE",
    default="",
    help="Process variable that carries the trace of a case from task to task (W3C traceparent), such as traceparent; "
    "BPTL reads it, and sets it where a case has none. Empty: each task is a trace of its own.",
)
if BPTL_TRACE_VARIABLE and not OTEL_EXPORTER_OTLP_ENDPOINT:
    environment.fault("BPTL_TRACE_VARIABLE", "is of use with OTEL_EXPORTER_OTLP_ENDPOINT only; set it too, or neither")
if not re.fullmatch(r"\w*", BPTL_TRACE_VARIABLE):
    environment.fault("BPTL_TRACE_VARIABLE", "is no name of a variable; use letters, digits and _")
SENTRY_DSN = environment.secret(
    "SENTRY_DSN", default="", help="Address (DSN) of the project in Sentry that is told of failures; empty: none."
)
SENTRY_ENVIRONMENT = environment.text(
    "SENTRY_ENVIRONMENT", default="production", help="What Sentry calls this installation."
)
VERSION_TAG = environment.text(
    "VERSION_TAG", default="", help="What Sentry calls this version (its release); default bptl@ and the version."
)
if SENTRY_DSN and not re.fullmatch(r"https?://[^/:@\s]+(:[^/@\s]+)?@[^/@\s]+/\S*\d+", SENTRY_DSN):
    environment.fault(
        "SENTRY_DSN", "is no DSN; copy it from the settings of the project in Sentry: https://KEY@HOST/ID"
    )

# -- Database and cache ----------------------------------------------------------------------------------------------

PREPARE_AFTER = 2
"""Times that a connection runs a statement of ``bptl.tasks.sql`` before it prepares it."""

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": environment.text(
            "DB_NAME", default="bptl", old_names=["DATABASE_NAME"], help="Name of the PostgreSQL database."
        ),
        "USER": environment.text("DB_USER", default="bptl", old_names=["DATABASE_USER"], help="Its user."),
        "PASSWORD": environment.secret(
            "DB_PASSWORD", default="", old_names=["DATABASE_PASSWORD"], help="The user's password."
        ),
        "HOST": environment.text(
            "DB_HOST", default="localhost", old_names=["DATABASE_HOST"], help="Its host, or the folder of its socket."
        ),
        "PORT": environment.port("DB_PORT", default=5432, help="Its port."),
        "CONN_MAX_AGE": environment.seconds(
            "DB_CONN_MAX_AGE", default=600, help="How long a connection is kept open; 0 opens one for each request."
        ),
        # A restarted database costs one failed check instead of one failed request per kept connection.
        "CONN_HEALTH_CHECKS": True,
        "OPTIONS": {
            "application_name": "bptl",
            "connect_timeout": 10,
            "prepare_threshold": PREPARE_AFTER
            if environment.boolean(
                "DB_PREPARED_STATEMENTS",
                default=True,
                help="Prepare the statements of the road. False behind a pooler that pools by transaction and does not "
                "pass prepared statements on (PgBouncer before 1.21).",
            )
            else None,
        },
    }
}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

CELERY_BROKER_URL = environment.secret(
    "CELERY_BROKER_URL", default="redis://localhost:6379/0", help="Redis or Valkey that carries the jobs."
)
for _fix in redis_address.faults(CELERY_BROKER_URL):
    environment.fault("CELERY_BROKER_URL", _fix)


def _cache_beside(broker: str) -> str:
    """The database after the broker's on the same server: clearing a cache empties its whole Redis database."""
    parts = urlsplit(broker)
    if parts.scheme not in {"redis", "rediss"}:
        return "locmem://"
    number = parts.path.strip("/") or "0"
    return urlunsplit(parts._replace(path=f"/{int(number) + 1}")) if number.isdigit() else "locmem://"


_cache_url = environment.secret(
    "CACHE_URL", default="", help="Redis of the cache; empty: the broker's server, next database; locmem:// for none."
) or _cache_beside(CELERY_BROKER_URL)
if not _cache_url.startswith("locmem:"):
    for _fix in redis_address.faults(_cache_url):
        environment.fault("CACHE_URL", _fix)
if _cache_url == CELERY_BROKER_URL:
    environment.fault(
        "CACHE_URL", "is the broker's database, so clearing the cache would lose jobs; use another number"
    )
CACHES = {
    "default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}
    if _cache_url.startswith("locmem:")
    else {
        "BACKEND": "django.core.cache.backends.redis.RedisCache",
        "LOCATION": _cache_url,
        "KEY_PREFIX": "bptl",
    }
}

# -- Jobs (read by the Celery app with namespace CELERY) --------------------------------------------------------------

CELERY_RESULT_BACKEND = None  # Rows in PostgreSQL are the result; a second copy would only go stale.
CELERY_TASK_IGNORE_RESULT = True
# Seconds that Redis keeps a question for messages: each one that it answers with nothing is felt in an idle fleet.
CELERY_BROKER_TRANSPORT_OPTIONS = {"polling_interval": 10.0}
CELERY_TASK_DEFAULT_QUEUE = "celery"
CELERY_TASK_ACKS_LATE = False  # The sweep is the safety; a redelivered message would repeat nothing useful.
CELERY_WORKER_PREFETCH_MULTIPLIER = 1
CELERY_WORKER_HIJACK_ROOT_LOGGER = False
CELERY_WORKER_SEND_TASK_EVENTS = True
CELERY_TASK_SEND_SENT_EVENT = True
CELERY_BROKER_CONNECTION_RETRY_ON_STARTUP = True
CELERY_BEAT_SCHEDULER = "django_celery_beat.schedulers:DatabaseScheduler"
CELERY_ACCEPT_CONTENT = ["json"]
CELERY_TASK_SERIALIZER = "json"
CELERY_RESULT_SERIALIZER = "json"
CELERY_WORKER_CONCURRENCY = environment.integer(
    "CELERY_WORKER_CONCURRENCY", default=16, minimum=1, maximum=1000, help="Places (threads) of a work process."
)
CELERY_TASK_SOFT_TIME_LIMIT = environment.optional_integer(
    "CELERY_TASK_SOFT_TIME_LIMIT",
    minimum=1,
    help="Seconds that a unit may run where its mapping does not say; default 600.",
)

# -- Monitoring (read by bptl flower only) ----------------------------------------------------------------------------

FLOWER_BASIC_AUTH = environment.secret(
    "FLOWER_BASIC_AUTH",
    default="",
    help="Who may look into Flower: user:password, several separated by commas; bptl flower does not start without.",
)
FLOWER_URL_PREFIX = environment.text("FLOWER_URL_PREFIX", default="", help="Path under which Flower lives: /flower.")
FLOWER_ADDRESS = environment.text("FLOWER_ADDRESS", default="127.0.0.1", help="Address on which Flower listens.")
FLOWER_PORT = environment.port("FLOWER_PORT", default=5555, help="Port of Flower.")

# -- The walk ---------------------------------------------------------------------------------------------------------

BPTL_LONG_POLL_SECONDS = environment.seconds(
    "BPTL_LONG_POLL_SECONDS",
    default=20,
    minimum=1,
    maximum=55,
    help="How long one request waits at the engine for work; proxies cut requests of a minute. "
    "A stop gives up a request that outlasts BPTL_GRACE_SECONDS.",
)
LONG_POLLING_TIMEOUT_MINUTES = environment.integer(
    "LONG_POLLING_TIMEOUT_MINUTES",
    default=10,
    minimum=1,
    maximum=30,
    help="How long one poll job repeats that request before beat starts the next.",
)
BPTL_GRACE_SECONDS = environment.seconds(
    "BPTL_GRACE_SECONDS",
    default=45,
    minimum=1,
    help="How long a stopping process lets running work, or a poll under way, finish.",
)

# -- Retention --------------------------------------------------------------------------------------------------------

BPTL_RETENTION_DATA_DAYS = environment.integer(
    "BPTL_RETENTION_DATA_DAYS",
    default=30,
    minimum=0,
    help="Days after its end for which a task keeps what may be personal data: variables, result, errors, arguments "
    "and results of effects. 0: as long as its row.",
)
BPTL_RETENTION_COMPLETED_DAYS = environment.integer(
    "BPTL_RETENTION_COMPLETED_DAYS",
    default=180,
    minimum=0,
    help="Days for which the row of a completed task is kept, without those data. 0: for ever.",
)
BPTL_RETENTION_THROWN_DAYS = environment.integer(
    "BPTL_RETENTION_THROWN_DAYS",
    default=180,
    minimum=0,
    help="The same for a task that ended with a BPMN error.",
)
BPTL_RETENTION_LOST_DAYS = environment.integer(
    "BPTL_RETENTION_LOST_DAYS",
    default=180,
    minimum=0,
    help="The same for a task that its engine no longer knows. A failed task is kept until then.",
)
BPTL_RETENTION_CALL_DAYS = environment.integer(
    "BPTL_RETENTION_CALL_DAYS",
    default=30,
    minimum=0,
    help="Days for which an ended call of the REST API is kept, with its data: for so long a repeated Idempotency-Key "
    "is given the stored answer. 0: for ever.",
)

# -- Calls of the REST API --------------------------------------------------------------------------------------------

BPTL_CALL_SECONDS = environment.seconds(
    "BPTL_CALL_SECONDS",
    default=40,
    minimum=1,
    maximum=3600,
    help="How long a call of /api/v1/work-unit waits for its work. Proxies must allow more; with less than "
    "BPTL_GRACE_SECONDS a stopping web process still answers.",
)
BPTL_CALLS_WAITING = environment.integer(
    "BPTL_CALLS_WAITING",
    default=16,
    minimum=1,
    maximum=1000,
    help="Calls that may wait at once in each web process; it has so many threads beside UWSGI_THREADS.",
)
BPTL_CALL_BYTES = environment.integer(
    "BPTL_CALL_BYTES", default=10 * 1024 * 1024, minimum=1024, help="Largest body of a call, in bytes."
)
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "bptl.api.authentication.TokenAuthentication",
        "bptl.api.authentication.PasswordAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["bptl.api.rights.AsDeclared"],
    "DEFAULT_PARSER_CLASSES": ["bptl.api.body.LimitedJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.0",
    "TITLE": "BP Task Library API",
    "DESCRIPTION": "Work units for Activiti, Flowable and every other engine that can call a REST API.",
    "VERSION": "1",
    "LICENSE": {"name": "EUPL-1.2", "url": "https://eupl.eu/1.2/en/"},
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["bptl.api.rights.AsDeclared"],
    "ENFORCE_NON_BLANK_FIELDS": True,
    "COMPONENT_SPLIT_REQUEST": True,
}

BPTL_WAIT_SECONDS = environment.seconds(
    "BPTL_WAIT_SECONDS",
    default=120,
    minimum=1,
    help="How long a starting container waits for the database, the broker and the migrations (`bptl wait`).",
)
BPTL_ALIVE_FILE = environment.text(
    "BPTL_ALIVE_FILE",
    default="",
    help="File that poll, work and beat touch while their loop turns, for `bptl alive`; the image sets it.",
)

BPTL_METRICS_ADDRESS = environment.address(
    "BPTL_METRICS_ADDRESS",
    help="Where each process serves /metrics (Prometheus), /live and /ready without login, such as 0.0.0.0:9808 in a "
    "container; several processes of one host need a port each, or port 0. Empty: nowhere.",
)

# -- Logging in -------------------------------------------------------------------------------------------------------

BPTL_ADMIN_USERNAME = environment.text(
    "BPTL_ADMIN_USERNAME",
    default="",
    help="Name of the first administrator, whom the web process makes when it starts and there is no active one.",
)
BPTL_ADMIN_PASSWORD = environment.secret("BPTL_ADMIN_PASSWORD", default="", help="That administrator's password.")
if bool(BPTL_ADMIN_USERNAME) != bool(BPTL_ADMIN_PASSWORD):
    environment.fault("BPTL_ADMIN_PASSWORD", "and BPTL_ADMIN_USERNAME belong together; set both or none")
BPTL_SECOND_FACTOR = environment.text(
    "BPTL_SECOND_FACTOR",
    default="optional",
    choices=("optional", "administrators", "everybody"),
    help="Who must show a code of an app (TOTP) beside a password; those who log in by the identity provider need none "
    "here.",
)
OTP_TOTP_ISSUER = "BPTL"
AXES_FAILURE_LIMIT = environment.integer(
    "BPTL_LOGIN_TRIES",
    default=10,
    minimum=3,
    help="So many wrong passwords for one name from one address, and both together are locked out for a while.",
)
AXES_COOLOFF_TIME = timedelta(
    minutes=environment.integer(
        "BPTL_LOCKOUT_MINUTES", default=15, minimum=1, help="How long that lasts, from the last wrong password."
    )
)
PASSWORD_RESET_TIMEOUT = 3600 * environment.integer(
    "BPTL_INVITATION_HOURS", default=72, minimum=1, help="How long a link works by which somebody chooses a password."
)
# A name alone could be locked out by anybody; an address alone is a whole town hall.
AXES_LOCKOUT_PARAMETERS = [["username", "ip_address"]]
AXES_RESET_ON_SUCCESS = True
AXES_RESET_COOL_OFF_ON_FAILURE_DURING_LOCKOUT = False
AXES_HTTP_RESPONSE_CODE = 429
AXES_LOCKOUT_CALLABLE = "bptl.web.login.locked"
AXES_WHITELIST_CALLABLE = "bptl.accounts.lockout.without_name"
AXES_DISABLE_ACCESS_LOG = True  # The audit log is the one place.
AXES_ENABLE_ADMIN = False
AXES_VERBOSE = False
BPTL_OIDC_ISSUER = environment.text(
    "BPTL_OIDC_ISSUER",
    default="",
    help="Identity provider by which people log in (OpenID Connect), exactly as it calls itself, such as "
    "https://login.example.com/realms/gemeente; empty for none.",
)
OIDC_RP_CLIENT_ID = environment.text("BPTL_OIDC_CLIENT_ID", default="", help="What the provider calls BPTL.")
OIDC_RP_CLIENT_SECRET = environment.secret("BPTL_OIDC_CLIENT_SECRET", default="", help="BPTL's secret at the provider.")
if BPTL_OIDC_ISSUER and not (OIDC_RP_CLIENT_ID and OIDC_RP_CLIENT_SECRET):
    environment.fault("BPTL_OIDC_ISSUER", "needs BPTL_OIDC_CLIENT_ID and BPTL_OIDC_CLIENT_SECRET too")
BPTL_OIDC_NAME = environment.text(
    "BPTL_OIDC_NAME", default="single sign-on", help="What the button of the provider says on the login page."
)
OIDC_RP_SCOPES = environment.text(
    "BPTL_OIDC_SCOPES", default="openid profile email", help="What is asked of the provider, separated by blanks."
)
OIDC_RP_SIGN_ALGO = environment.text(
    "BPTL_OIDC_SIGNATURES", default="RS256", choices=("RS256", "ES256", "HS256"), help="How it signs its id tokens."
)
BPTL_OIDC_USERNAME_CLAIM = environment.text(
    "BPTL_OIDC_USERNAME_CLAIM", default="preferred_username", help="Claim that names somebody who is new."
)
BPTL_OIDC_GROUPS_CLAIM = environment.text(
    "BPTL_OIDC_GROUPS_CLAIM", default="groups", help="Claim with the groups of somebody, from which their role follows."
)
BPTL_OIDC_GROUPS = {
    "viewer": environment.csv("BPTL_OIDC_VIEWERS", help="Groups of the provider whose members are viewers."),
    "operator": environment.csv("BPTL_OIDC_OPERATORS", help="Groups of the provider whose members are operators."),
    "administrator": environment.csv(
        "BPTL_OIDC_ADMINISTRATORS",
        help="Groups of the provider whose members are administrators. When none of the three is set, an administrator "
        "of BPTL gives the roles.",
    ),
}
OIDC_USE_PKCE = True
OIDC_TIMEOUT = 10  # Seconds; without it a provider that hangs would hold a thread of the pages for ever.
OIDC_AUTHENTICATION_CALLBACK_URL = "oidc-callback"
LOGIN_REDIRECT_URL_FAILURE = "oidc-failed"

# -- Mail -------------------------------------------------------------------------------------------------------------

EMAIL_HOST = environment.text("EMAIL_HOST", default="localhost", help="SMTP server.")
EMAIL_PORT = environment.port("EMAIL_PORT", default=25, help="Its port.")
EMAIL_HOST_USER = environment.text("EMAIL_HOST_USER", default="", help="User at the SMTP server.")
EMAIL_HOST_PASSWORD = environment.secret("EMAIL_HOST_PASSWORD", default="", help="That user's password.")
EMAIL_USE_TLS = environment.boolean("EMAIL_USE_TLS", default=False, help="Speak STARTTLS with the SMTP server.")
EMAIL_USE_SSL = environment.boolean("EMAIL_USE_SSL", default=False, help="Speak TLS from the first byte (port 465).")
if EMAIL_USE_TLS and EMAIL_USE_SSL:
    environment.fault("EMAIL_USE_SSL", "and EMAIL_USE_TLS are both True; choose one")
EMAIL_TIMEOUT = environment.seconds("EMAIL_TIMEOUT", default=10, minimum=1, help="How long the SMTP server may take.")
DEFAULT_FROM_EMAIL = environment.text(
    "DEFAULT_FROM_EMAIL", default="bptl@example.com", help="Sender of mail, with or without a name: Gemeente <a@b.nl>."
)
if "@" not in parseaddr(DEFAULT_FROM_EMAIL)[1] or not DEFAULT_FROM_EMAIL.isprintable():
    environment.fault("DEFAULT_FROM_EMAIL", "is no mail address; write name@example.nl, or Name <name@example.nl>")

# -- Telling people ----------------------------------------------------------------------------------------------------

BPTL_PAGES_URL = environment.text(
    "BPTL_PAGES_URL",
    default="",
    help="Where this installation is reached, such as https://bptl.example.com/: for links in messages, which have "
    "none without it, and for the addresses at which others answer tasks that wait.",
)
if BPTL_PAGES_URL and not re.fullmatch(r"https?://[^/?#@\s]+(/[^?#\s]*)?", BPTL_PAGES_URL):
    environment.fault("BPTL_PAGES_URL", f"is {BPTL_PAGES_URL!r}; use an address such as https://bptl.example.com/")
BPTL_INCIDENT_MAIL = environment.csv(
    "BPTL_INCIDENT_MAIL",
    help="Mail addresses that are told of incidents of which no mapping, or one without an owner, is the place.",
)
for _address in BPTL_INCIDENT_MAIL:
    if not re.fullmatch(r"[^@\s]+@[^@\s]+", _address) or not _address.isascii():
        environment.fault("BPTL_INCIDENT_MAIL", f"{_address!r} is no mail address; write beheer@example.nl")
BPTL_INCIDENT_WEBHOOK = environment.text(
    "BPTL_INCIDENT_WEBHOOK", default="", help="Address that is called for the same incidents, http(s)."
)
BPTL_INCIDENT_WEBHOOK_SECRET = environment.secret(
    "BPTL_INCIDENT_WEBHOOK_SECRET", default="", help="Signs those calls (HMAC-SHA256); 16 characters or more."
)
if BPTL_INCIDENT_WEBHOOK:
    if not re.fullmatch(r"https?://[^/?#@\s\\]+(/\S*)?", BPTL_INCIDENT_WEBHOOK):
        environment.fault("BPTL_INCIDENT_WEBHOOK", "is no http(s) address; a login in it is refused")
    if len(BPTL_INCIDENT_WEBHOOK_SECRET) < 16:
        environment.fault(
            "BPTL_INCIDENT_WEBHOOK_SECRET", "needs 16 characters or more; make one with: openssl rand -hex 24"
        )
BPTL_WEBHOOK_NETWORKS = environment.networks(
    "BPTL_WEBHOOK_NETWORKS",
    help="Networks of your own that webhooks, and callbacks to listed addresses, may reach, such as 10.1.0.0/16; "
    "others than public ones are refused.",
)
BPTL_CALLBACK_ADDRESSES = environment.roots(
    "BPTL_CALLBACK_ADDRESSES",
    help="Addresses, with all that lies below them, to which the process variable callbackUrl may lead beside those of "
    "registered services, such as https://host/hooks/.",
)
BPTL_INCIDENT_LANGUAGE = environment.text(
    "BPTL_INCIDENT_LANGUAGE", default="nl", choices=("nl", "en"), help="Language of messages about incidents."
)
BPTL_INCIDENT_DIGEST = environment.text(
    "BPTL_INCIDENT_DIGEST",
    default="daily",
    choices=("daily", "hourly", "off"),
    help="How often each mail address gets what happened in one mail, when something did.",
)
BPTL_INCIDENT_DIGEST_HOUR = environment.integer(
    "BPTL_INCIDENT_DIGEST_HOUR",
    default=7,
    minimum=0,
    maximum=23,
    help="Hour of the day (of the time zone of BPTL, Europe/Amsterdam) at which a daily digest goes out.",
)
BPTL_INCIDENT_TELL_END = environment.boolean(
    "BPTL_INCIDENT_TELL_END", default=True, help="Tell also that an incident is over."
)
BPTL_RETENTION_INCIDENT_DAYS = environment.integer(
    "BPTL_RETENTION_INCIDENT_DAYS",
    default=180,
    minimum=1,
    help="Days for which an incident that has ended, and what was told of it, is kept.",
)

# -- Django ----------------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "bptl.accounts",
    "bptl.api",
    "bptl.connections",
    "bptl.tasks",
    "bptl.telling",
    "bptl.web",
    "bptl.workers",
    "axes",
    "django_celery_beat",
    "django_otp",
    "django_otp.plugins.otp_static",
    "django_otp.plugins.otp_totp",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
]
MIDDLEWARE = [
    # First: a probe comes with an address for a host name and must not need a session or a known host.
    "bptl.web.health.HealthMiddleware",
    "bptl.api.metrics.MetricsPortMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "bptl.web.protection.ProtectionMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django_otp.middleware.OTPMiddleware",
    "bptl.web.rights.RightsMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "axes.middleware.AxesMiddleware",
    "bptl.web.error_page.FormsOnlyMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "axes.backends.AxesStandaloneBackend",
    "django.contrib.auth.backends.ModelBackend",
    "bptl.accounts.oidc.Backend",
]
ROOT_URLCONF = "bptl.conf.urls"
WSGI_APPLICATION = "bptl.conf.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ],
        },
    }
]

DEFAULT_EXCEPTION_REPORTER_FILTER = "bptl.web.error_page.HidesSecrets"
AUTH_USER_MODEL = "accounts.User"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": f"django.contrib.auth.password_validation.{validator}"}
    for validator in (
        "UserAttributeSimilarityValidator",
        "MinimumLengthValidator",
        "CommonPasswordValidator",
        "NumericPasswordValidator",
    )
]
LOGIN_URL = "login"
LOGIN_REDIRECT_URL = "overview"
LOGOUT_REDIRECT_URL = "login"

LANGUAGE_CODE = "nl"
LANGUAGES = [("nl", _("Dutch")), ("en", _("English"))]
LOCALE_PATHS = [PACKAGE / "locale"]
TIME_ZONE = "Europe/Amsterdam"
USE_TZ = True
CELERY_TIMEZONE = TIME_ZONE

STATIC_URL = "static/"
STATIC_ROOT = environment.text(
    "STATIC_ROOT",
    default="",
    help="Folder that `bptl manage collectstatic` fills; empty: files are served from the packages they are in.",
)
WHITENOISE_USE_FINDERS = not STATIC_ROOT
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"
        if STATIC_ROOT
        else "django.contrib.staticfiles.storage.StaticFilesStorage"
    },
}

# The entry script of the image reads it; here it is known and shown on the reference page.
environment.text(
    "CELERY_WORKER_QUEUE",
    default="celery",
    choices=("celery", "long-polling"),
    help="What `/celery_worker.sh` starts: workers (celery) or the poller (long-polling).",
)
BPTL_WORKER_NAME = environment.text(
    "CELERY_WORKER_NAME",
    default="",
    help="Name of a poll or work process in Celery's monitoring, such as work@%h; default: queue, pid and host.",
)
for _name, _fix in names.mistakes(os.environ, known={one.name: one.secret for one in environment.declared}):
    environment.fault(_name, _fix)
environment.refuse_faults()
for _secret in environment.secret_texts:
    for _word in keys.words_of(_secret):
        redaction.remember(_word)
BPTL_RETIRED_NAMES = names.retired(os.environ)
BPTL_ENVIRONMENT = environment.declared
BPTL_SHOWN = shown.settings(environment.declared, os.environ)
log.configure(level=LOG_LEVEL, form="console" if BPTL_LOG_FORMAT == "console" else "json")
