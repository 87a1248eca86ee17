"""Rows of what BPTL may reach: engines and services, who may use them, and which work unit does which topic."""

from __future__ import annotations

from datetime import timedelta

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MinValueValidator, validate_email
from django.db import models
from django.db.models.functions import Now
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from bptl.connections import addresses, plans
from bptl.connections.addresses import checked
from bptl.connections.breaker_models import Breaker as Breaker  # noqa: PLC0414 - Django finds models here
from bptl.connections.breaker_models import Opening as Opening  # noqa: PLC0414 - Django finds models here
from bptl.connections.encrypted import Clear, EncryptedField
from bptl.connections.mail_models import MailTemplate as MailTemplate  # noqa: PLC0414 - Django finds models here
from bptl.connections.service_models import Service
from bptl.connections.tls import Tls, whole_pair

WITHOUT_ENGINE = "rest"
"""What stands for an engine's name where there is none: work that a caller of the REST API asks for."""

AT_WORK = models.Q(active=True) | models.Q(resume_at__lte=Now())
"""The mappings that are not paused: a pause ends by itself, by PostgreSQL's clock, before anybody tidies its row."""

LONGEST_RUN = 600
"""Seconds that a unit may run when neither its mapping nor CELERY_TASK_SOFT_TIME_LIMIT says otherwise."""


class Product(models.TextChoices):
    """The engines that speak the Camunda 7 REST API; a version number alone does not tell them apart."""

    CAMUNDA7 = "camunda7", "Camunda 7"
    OPERATON = "operaton", "Operaton"
    CIBSEVEN = "cibseven", "CIB seven"


class Authentication(models.TextChoices):
    """How we make ourselves known to an engine."""

    NONE = "none", _("none")
    BASIC = "basic", _("username and password")
    BEARER = "bearer", _("bearer token")
    OAUTH2 = "oauth2_client_credentials", _("OAuth2 client credentials")


class Engine(Tls):
    """One BPMN engine: its address, how we log in, and the tenants that are ours."""

    name = models.SlugField(
        _("name"), max_length=60, unique=True, help_text=_("Short name, used in commands and pages.")
    )
    product = models.CharField(_("product"), max_length=20, choices=Product.choices, default=Product.OPERATON)
    # Not a URLField: that one refuses the one-word host names of containers, such as http://operaton:8080/.
    address = models.CharField(
        _("address"),
        max_length=500,
        help_text=_("Root of the REST API, for instance https://camunda.example.com/engine-rest/"),
    )
    authentication = models.CharField(
        _("authentication"), max_length=30, choices=Authentication.choices, default=Authentication.BASIC
    )
    username = models.CharField(
        _("username"), max_length=200, blank=True, help_text=_("Or the client id of OAuth2 client credentials.")
    )
    token_address = models.CharField(
        _("OAuth2 token address"), max_length=500, blank=True, help_text=_("Where tokens are given out, over https.")
    )
    scope = models.CharField(_("OAuth2 scope"), max_length=500, blank=True)
    encrypted_secret = EncryptedField(_("password or token (encrypted)"))
    tenant_ids = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("tenants"),
        default=list,
        blank=True,
        help_text=_("Fetch only tasks of these tenants, separated by commas; empty fetches all that we may see."),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("An inactive engine is not polled."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    secret = Clear("encrypted_secret")

    class Meta:
        verbose_name = _("engine")
        verbose_name_plural = _("engines")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(
                name="engine_basic_needs_username",
                condition=~models.Q(authentication="basic") | ~models.Q(username=""),
                violation_error_message=_("Authentication with username and password needs a username."),
            ),
            models.CheckConstraint(
                name="engine_oauth2_is_whole",
                condition=~models.Q(authentication="oauth2_client_credentials")
                | (
                    ~models.Q(username="")
                    & ~models.Q(encrypted_secret="")
                    & models.Q(token_address__regex=addresses.SECURE)
                ),
                violation_error_message=_("OAuth2 needs a client id, a secret and an https address for its tokens."),
            ),
            whole_pair("engine_certificate_with_key"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Normalise address and login, and refuse an address that we could not or should not call."""
        super().clean()
        if self.name == WITHOUT_ENGINE:
            raise ValidationError({"name": _("This name stands for calls of the REST API, which have no engine.")})
        if self.authentication not in {Authentication.BASIC, Authentication.OAUTH2}:
            self.username = ""
        if self.authentication != Authentication.OAUTH2:
            self.token_address = self.scope = ""
        else:
            self.token_address = checked("token_address", addresses.secure, self.token_address)
        if self.authentication == Authentication.NONE:
            self.secret = ""
        elif not self.encrypted_secret:
            raise ValidationError({"secret": _("Enter the password or token.")})
        self.address = checked("address", addresses.root, self.address)


class Mapping(models.Model):
    """Connects a topic of an engine, perhaps filtered, or of the REST API to the work unit that does it."""

    engine = models.ForeignKey(
        Engine,
        verbose_name=_("engine"),
        on_delete=models.CASCADE,
        null=True,
        blank=True,
        related_name="mappings",
        help_text=_("Empty: for calls of the REST API, which Activiti, Flowable and every other engine can make."),
    )
    topic = models.CharField(_("topic"), max_length=255)
    unit = models.CharField(_("work unit"), max_length=255, help_text=_("Name of a registered work unit."))
    active = models.BooleanField(_("active"), default=True)
    # Why nothing is fetched now: empty for an active mapping, and for one that a file or a command left inactive.
    paused_at = models.DateTimeField(_("paused at"), null=True, blank=True, editable=False)
    paused_by = models.CharField(_("paused by"), max_length=150, blank=True, default="", db_default="", editable=False)
    pause_reason = models.CharField(
        _("reason of the pause"), max_length=500, blank=True, default="", db_default="", editable=False
    )
    resume_at = models.DateTimeField(
        _("resumes at"),
        null=True,
        blank=True,
        editable=False,
        help_text=_("From then on it is fetched for again; empty: when somebody resumes it."),
    )
    lock_seconds = models.PositiveIntegerField(
        _("lock (seconds)"),
        default=300,
        validators=[MinValueValidator(10)],
        help_text=_(
            "Locks are kept alive at a third of this, so it is only how fast a crash is noticed at the engine."
        ),
    )
    longest_run_seconds = models.PositiveIntegerField(
        _("longest run (seconds)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_("After this the unit is cancelled; empty: CELERY_TASK_SOFT_TIME_LIMIT, else ten minutes."),
    )
    most_at_once = models.PositiveIntegerField(
        _("most at once"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many of its tasks run at the same time, in all workers together; empty: as many as there is room for."
        ),
    )
    quarantine_after = models.PositiveSmallIntegerField(
        _("quarantine after"),
        default=3,
        db_default=3,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many processes may die on one task, or lose a place to it, before it fails for good and waits for a "
            "person."
        ),
    )
    retry_plan = models.CharField(
        _("retry plan"),
        max_length=200,
        blank=True,
        help_text=_("For instance R3/PT5M or PT30S,PT5M,PT1H; empty: RETRY_CONFIG of the model, else the unit's plan."),
    )
    error_codes = models.JSONField(
        _("BPMN error codes"),
        default=dict,
        blank=True,
        help_text=_('What becomes a BPMN error: {"HTTP 404": "NIET_GEVONDEN", "InvalidInput": "ONGELDIG"}.'),
    )
    priority = models.IntegerField(
        _("priority"), default=0, help_text=_("Added to the priority that the engine gives.")
    )
    use_engine_priority = models.BooleanField(_("fetch by the engine's priority"), default=True)
    oldest_first = models.BooleanField(_("fetch oldest first"), default=False)
    business_key = models.CharField(_("only this business key"), max_length=255, blank=True)
    definition_keys = ArrayField(
        models.CharField(max_length=255), verbose_name=_("only these process definitions"), default=list, blank=True
    )
    version_tag = models.CharField(_("only this version tag"), max_length=64, blank=True)
    tenant_ids = ArrayField(
        models.CharField(max_length=200), verbose_name=_("only these tenants"), default=list, blank=True
    )
    without_tenant = models.BooleanField(_("only tasks without tenant"), default=False)
    local_variables = models.BooleanField(_("only local variables"), default=False)
    owner_name = models.CharField(
        _("owner"), max_length=200, blank=True, help_text=_("Who is told when its tasks fail: a team or a person.")
    )
    owner_mail = ArrayField(
        models.CharField(max_length=254, validators=[validate_email]),
        verbose_name=_("mail addresses of the owner"),
        default=list,
        blank=True,
    )
    owner_webhook = models.CharField(_("webhook of the owner"), max_length=500, blank=True)
    encrypted_owner_secret = EncryptedField(_("secret of the webhook (encrypted)"))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    owner_secret = Clear("encrypted_owner_secret")

    class Meta:
        verbose_name = _("mapping")
        verbose_name_plural = _("mappings")
        ordering = ["engine__name", "topic", "id"]
        constraints = [
            models.UniqueConstraint(
                name="mapping_unique_filters",
                fields=[
                    "engine",
                    "topic",
                    "business_key",
                    "definition_keys",
                    "version_tag",
                    "tenant_ids",
                    "without_tenant",
                ],
                violation_error_message=_("This engine already has a mapping of this topic with the same filters."),
            ),
            models.UniqueConstraint(
                name="mapping_one_per_topic_of_calls",
                fields=["topic"],
                condition=models.Q(engine=None),
                violation_error_message=_("This topic of the REST API has a mapping already."),
            ),
            models.CheckConstraint(name="mapping_lock_at_least_10_s", condition=models.Q(lock_seconds__gte=10)),
            models.CheckConstraint(name="mapping_run_at_least_1_s", condition=models.Q(longest_run_seconds__gte=1)),
            models.CheckConstraint(name="mapping_at_least_1_at_once", condition=models.Q(most_at_once__gte=1)),
            models.CheckConstraint(name="mapping_quarantine_after_1", condition=models.Q(quarantine_after__gte=1)),
            models.CheckConstraint(
                name="mapping_tenants_or_without",
                condition=models.Q(without_tenant=False) | models.Q(tenant_ids=[]),
                violation_error_message=_("Choose tenants or tasks without tenant, not both."),
            ),
            models.CheckConstraint(
                name="mapping_webhook_is_signed",
                condition=models.Q(owner_webhook="") | ~models.Q(encrypted_owner_secret=""),
                violation_error_message=_("A webhook needs a secret that signs what is sent to it."),
            ),
            models.CheckConstraint(
                name="mapping_active_has_no_pause",
                condition=models.Q(active=False)
                | models.Q(paused_at=None, paused_by="", pause_reason="", resume_at=None),
            ),
            models.CheckConstraint(
                name="mapping_resumes_from_a_pause",
                condition=models.Q(resume_at=None) | models.Q(paused_at__isnull=False),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.engine_name}/{self.topic} → {self.unit}"

    @property
    def paused(self) -> bool:
        """Whether nothing is fetched now, to be shown; what fetches asks PostgreSQL (``AT_WORK``)."""
        return not self.active and (self.resume_at is None or self.resume_at > timezone.now())

    @property
    def engine_name(self) -> str:
        """The engine's name, or what stands for it where there is none."""
        return self.engine.name if self.engine else WITHOUT_ENGINE

    @property
    def has_owner(self) -> bool:
        """Whether somebody of its own is told of what happens to its tasks."""
        return bool(self.owner_mail or self.owner_webhook)

    def clean(self) -> None:
        """Normalise lists, so that equal filters are equal rows, and refuse a retry plan that nobody can read.

        A call of the REST API has nothing to filter by: filters without an engine are refused, not ignored.
        """
        super().clean()
        if self.active:
            self.paused_at = self.resume_at = None
            self.paused_by = self.pause_reason = ""
        self.definition_keys = sorted(set(self.definition_keys or []))
        self.tenant_ids = sorted(set(self.tenant_ids or []))
        self.owner_mail = sorted(set(self.owner_mail or []))
        if self.owner_webhook:
            self.owner_webhook = checked("owner_webhook", addresses.webhook, self.owner_webhook)
        filters = (self.business_key, self.definition_keys, self.version_tag, self.tenant_ids, self.without_tenant)
        if self.engine_id is None and any(filters):
            raise ValidationError(_("Calls of the REST API have nothing to filter by: leave the filters empty."))
        if self.retry_plan:
            try:
                plans.parse(self.retry_plan)
            except plans.InvalidPlan as error:
                raise ValidationError({"retry_plan": error.reason}) from error

    @property
    def lock_duration(self) -> timedelta:
        """How long a fetch locks a task."""
        return timedelta(seconds=self.lock_seconds)

    @property
    def longest_run(self) -> timedelta:
        """How long the unit may run before it is cancelled."""
        return timedelta(seconds=self.longest_run_seconds or settings.CELERY_TASK_SOFT_TIME_LIMIT or LONGEST_RUN)


class MappingService(models.Model):
    """Which service a mapping gives to its unit under an alias."""

    mapping = models.ForeignKey(Mapping, verbose_name=_("mapping"), on_delete=models.CASCADE, related_name="services")
    alias = models.CharField(_("alias"), max_length=60, help_text=_("What the work unit calls it, such as zrc."))
    service = models.ForeignKey(Service, verbose_name=_("service"), on_delete=models.PROTECT, related_name="mappings")

    class Meta:
        verbose_name = _("service of the unit")
        verbose_name_plural = _("services of the unit")
        ordering = ["mapping", "alias"]
        constraints = [
            models.UniqueConstraint(
                name="mapping_service_alias_once",
                fields=["mapping", "alias"],
                violation_error_message=_("This alias has a service already."),
            ),
            models.CheckConstraint(name="mapping_service_has_an_alias", condition=~models.Q(alias="")),
        ]

    def __str__(self) -> str:
        return f"{self.alias}={self.service}"
