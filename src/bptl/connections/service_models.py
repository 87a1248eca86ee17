"""Rows of services, and of the applications that may use them."""

from __future__ import annotations

import re

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils.translation import gettext_lazy as _

from bptl.clients.kinds import DataClass, Kind
from bptl.connections import addresses, grants
from bptl.connections.addresses import checked
from bptl.connections.encrypted import Clear, EncryptedField
from bptl.connections.tls import Tls, whole_pair

HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]*")


class ServiceAuthentication(models.TextChoices):
    """How we make ourselves known to a service; the values are those of zgw-consumers (``auth_type``)."""

    NONE = "no_auth", _("none")
    API_KEY = "api_key", _("API key in a header")
    ZGW = "zgw", _("ZGW: client id and secret (JWT)")
    OAUTH2 = "oauth2_client_credentials", _("OAuth2 client credentials")


WITH_CLIENT_ID = (ServiceAuthentication.ZGW, ServiceAuthentication.OAUTH2)


class Service(Tls):
    """One outside service: what API it speaks, where it is, how we log in, how much of what is said may be kept."""

    name = models.SlugField(
        _("name"), max_length=60, unique=True, help_text=_("Short name, used in commands and pages.")
    )
    kind = models.CharField(
        _("type"),
        max_length=20,
        choices=[
            (Kind.ZAKEN.value, "Zaken API (zrc)"),
            (Kind.CATALOGI.value, "Catalogi API (ztc)"),
            (Kind.DOCUMENTEN.value, "Documenten API (drc)"),
            (Kind.BESLUITEN.value, "Besluiten API (brc)"),
            (Kind.AUTORISATIES.value, "Autorisaties API (ac)"),
            (Kind.NOTIFICATIES.value, "Notificaties API (nrc)"),
            (Kind.CONTACTMOMENTEN.value, "Contactmomenten API (cmc)"),
            (Kind.KLANTEN.value, "Klanten API (kc)"),
            (Kind.VERZOEKEN.value, "Verzoeken API (vrc)"),
            (Kind.OTHER.value, _("other (orc)")),
        ],
    )
    address = models.CharField(
        _("address"),
        max_length=500,
        unique=True,
        help_text=_("Root of the API as it stands in data, for instance https://zaken.example.nl/zaken/api/v1/"),
    )
    outway = models.CharField(
        _("outway"),
        max_length=500,
        blank=True,
        help_text=_("Where requests go when an NLX or FSC outway stands before the service; its root of this API."),
    )
    fsc_grant_hash = models.CharField(
        _("FSC grant hash"), max_length=200, blank=True, help_text=_("Sent to an FSC outway as Fsc-Grant-Hash.")
    )
    authentication = models.CharField(
        _("authentication"), max_length=30, choices=ServiceAuthentication.choices, default=ServiceAuthentication.ZGW
    )
    client_id = models.CharField(_("client id"), max_length=200, blank=True)
    encrypted_secret = EncryptedField(_("secret (encrypted)"))
    user_id = models.CharField(
        _("user id"), max_length=200, blank=True, help_text=_("Who stands in the audit trail of a ZGW API.")
    )
    user_representation = models.CharField(_("user representation"), max_length=200, blank=True)
    header = models.CharField(
        _("header"),
        max_length=100,
        blank=True,
        help_text=_("Name of the header of an API key; Authorization when empty."),
    )
    token_address = models.CharField(
        _("OAuth2 token address"), max_length=500, blank=True, help_text=_("Where tokens are given out, over https.")
    )
    scope = models.CharField(_("OAuth2 scope"), max_length=500, blank=True)
    timeout_seconds = models.PositiveSmallIntegerField(
        _("time-out (seconds)"),
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(600)],
        help_text=_("For a whole call."),
    )
    slow_after_seconds = models.FloatField(
        _("slow after (seconds)"),
        null=True,
        blank=True,
        validators=[MinValueValidator(0.1), MaxValueValidator(600)],
        help_text=_("Calls that take longer count as bad for its circuit breaker; empty: half of the time-out."),
    )
    most_at_once = models.PositiveIntegerField(
        _("most tasks at once"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many tasks of mappings that use it run at the same time, in all workers together; empty: as many as "
            "there is room for."
        ),
    )
    most_a_minute = models.PositiveIntegerField(
        _("most tasks a minute"),
        null=True,
        blank=True,
        validators=[MinValueValidator(1)],
        help_text=_(
            "So many tasks of mappings that use it begin within a minute, spread over it; it counts tasks, not calls: "
            "a task may call more than once. Empty: no limit."
        ),
    )
    data_class = models.CharField(
        _("recorded bodies"),
        max_length=20,
        blank=True,
        choices=[
            (DataClass.ORDINARY.value, _("whole, without secrets and BSNs")),
            (DataClass.PERSONAL.value, _("without secrets, BSNs and personal data")),
            (DataClass.SECRET.value, _("none")),
        ],
        help_text=_("How bodies of calls are kept with a task; empty: as fits the type."),
    )
    test_path = models.CharField(
        _("path of the test"),
        max_length=200,
        blank=True,
        help_text=_("What the connection test asks for, relative to the address; empty: as fits the type."),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("An inactive service is not called."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    secret = Clear("encrypted_secret")

    class Meta:
        verbose_name = _("service")
        verbose_name_plural = _("services")
        ordering = ["name"]
        constraints = [
            models.CheckConstraint(name="service_at_least_1_at_once", condition=models.Q(most_at_once__gte=1)),
            models.CheckConstraint(name="service_at_least_1_a_minute", condition=models.Q(most_a_minute__gte=1)),
            models.CheckConstraint(
                name="service_kind_is_known",
                condition=models.Q(kind__in=[kind.value for kind in Kind]),
            ),
            models.CheckConstraint(
                name="service_data_class_is_known",
                condition=models.Q(data_class__in=["", *(one.value for one in DataClass)]),
            ),
            models.CheckConstraint(name="service_address_is_a_root", condition=models.Q(address__regex=addresses.ROOT)),
            models.CheckConstraint(
                name="service_outway_is_a_root",
                condition=models.Q(outway="") | models.Q(outway__regex=addresses.ROOT),
            ),
            models.CheckConstraint(
                name="service_login_is_whole",
                condition=models.Q(authentication="no_auth", client_id="", encrypted_secret="")
                | models.Q(authentication="api_key", client_id="")
                | models.Q(authentication="zgw")
                | models.Q(authentication="oauth2_client_credentials", token_address__regex=addresses.SECURE),
                violation_error_message=_("OAuth2 needs an https address for its tokens."),
            ),
            models.CheckConstraint(
                name="service_client_with_secret",
                condition=models.Q(authentication="api_key")
                | models.Q(client_id="", encrypted_secret="")
                | ~models.Q(client_id="") & ~models.Q(encrypted_secret=""),
                violation_error_message=_("A client id and its secret need each other."),
            ),
            models.CheckConstraint(
                name="service_timeout_1_to_600_s",
                condition=models.Q(timeout_seconds__gte=1, timeout_seconds__lte=600),
            ),
            models.CheckConstraint(
                name="service_slow_after_is_positive",
                condition=models.Q(slow_after_seconds=None) | models.Q(slow_after_seconds__gt=0),
            ),
            whole_pair("service_certificate_with_key"),
        ]

    def __str__(self) -> str:
        return self.name

    def clean(self) -> None:
        """Normalise addresses and login, and refuse what we could not or should not call.

        A client id and secret of its own are not demanded: applications may all bring theirs.
        """
        super().clean()
        self.address = checked("address", addresses.root, self.address)
        if self.outway:
            self.outway = checked("outway", addresses.root, self.outway)
        way = self.authentication
        if way not in WITH_CLIENT_ID:
            self.client_id = ""
        if way != ServiceAuthentication.API_KEY:
            self.header = ""
        if way != ServiceAuthentication.ZGW:
            self.user_id = self.user_representation = ""
        if way == ServiceAuthentication.NONE:
            self.secret = ""
        if way == ServiceAuthentication.OAUTH2:
            self.token_address = checked("token_address", addresses.secure, self.token_address)
        else:
            self.token_address = self.scope = ""
        if way in WITH_CLIENT_ID and bool(self.client_id) != bool(self.encrypted_secret):
            missing = "secret" if self.client_id else "client_id"
            raise ValidationError({missing: _("A client id and its secret need each other.")})
        if not HEADER_NAME.fullmatch(self.header):
            raise ValidationError({"header": _("This is no name of a header, such as X-Api-Key.")})

    @property
    def slow_after(self) -> float:
        """Seconds from which on a call of it is slow."""
        return self.slow_after_seconds or self.timeout_seconds / 2

    @property
    def has_credentials(self) -> bool:
        """Whether it can be called without those of an application."""
        return self.authentication == ServiceAuthentication.NONE or bool(self.encrypted_secret)

    @property
    def asks_for_client_id(self) -> bool:
        """Whether its credentials are a client id and a secret."""
        return self.authentication in WITH_CLIENT_ID

    @property
    def limited(self) -> bool:
        """Whether not as many tasks as there is room for may use it."""
        return self.most_at_once is not None or self.most_a_minute is not None


class Application(models.Model):
    """Somebody for whom tasks are done (``bptlAppId``), the units that may be run and the services used for them."""

    app_id = models.CharField(
        _("application id"),
        max_length=1000,
        unique=True,
        help_text=_("What models put into bptlAppId; often the address of the application in the Autorisaties API."),
    )
    label = models.CharField(_("label"), max_length=100)
    units = ArrayField(
        models.CharField(max_length=255),
        verbose_name=_("units"),
        default=list,
        blank=True,
        help_text=_("Work units that may be run for it, separated by commas: zgw.create_zaak, a theme as zgw.*, or *."),
    )
    client_ids = ArrayField(
        models.CharField(max_length=200),
        verbose_name=_("client ids"),
        default=list,
        blank=True,
        help_text=_("By which the Autorisaties API knows it; filled by an import."),
    )
    components = ArrayField(
        models.CharField(max_length=50),
        verbose_name=_("APIs"),
        default=list,
        blank=True,
        help_text=_("Where the Autorisaties API gives it rights; filled by an import. *: everywhere."),
    )
    active = models.BooleanField(_("active"), default=True, help_text=_("Nothing is done for an inactive one."))
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    class Meta:
        verbose_name = _("application")
        verbose_name_plural = _("applications")
        ordering = ["label", "app_id"]
        constraints = [
            models.CheckConstraint(name="application_has_an_id", condition=~models.Q(app_id="")),
            models.CheckConstraint(name="application_has_a_label", condition=~models.Q(label="")),
        ]

    def __str__(self) -> str:
        return self.label

    def clean(self) -> None:
        """Normalise the lists, and refuse names of units that nobody has."""
        super().clean()
        self.app_id = self.app_id.strip()
        self.client_ids = sorted(set(self.client_ids or []))
        self.components = sorted(set(self.components or []))
        try:
            self.units = grants.normalised(self.units or [])
        except grants.UnknownGrant as error:
            raise ValidationError({"units": str(error)}) from error

    def may_run(self, unit: str) -> bool:
        """Whether the unit of this name has been granted."""
        return grants.covers(self.units, unit)


class ServiceGrant(models.Model):
    """An application may use a service: with credentials of its own, or with those of the service."""

    application = models.ForeignKey(
        Application, verbose_name=_("application"), on_delete=models.CASCADE, related_name="grants"
    )
    service = models.ForeignKey(Service, verbose_name=_("service"), on_delete=models.CASCADE, related_name="grants")
    as_service = models.BooleanField(
        _("with the service's own credentials"),
        default=False,
        help_text=_("Else enter those of the application below."),
    )
    client_id = models.CharField(_("client id"), max_length=200, blank=True)
    encrypted_secret = EncryptedField(_("secret (encrypted)"))
    user_id = models.CharField(_("user id"), max_length=200, blank=True)
    user_representation = models.CharField(_("user representation"), max_length=200, blank=True)
    created_at = models.DateTimeField(_("created at"), auto_now_add=True)
    updated_at = models.DateTimeField(_("updated at"), auto_now=True)

    secret = Clear("encrypted_secret")

    class Meta:
        verbose_name = _("right to a service")
        verbose_name_plural = _("rights to services")
        ordering = ["application", "service__name"]
        constraints = [
            models.UniqueConstraint(
                name="grant_once",
                fields=["application", "service"],
                violation_error_message=_("This application has this service already."),
            ),
            models.CheckConstraint(
                name="grant_with_one_kind_of_credentials",
                condition=models.Q(as_service=True, client_id="", encrypted_secret="")
                | models.Q(as_service=False) & ~models.Q(encrypted_secret=""),
                violation_error_message=_(
                    "Enter the application's own credentials, or choose those of the service; not both."
                ),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.application} → {self.service}"

    def clean(self) -> None:
        """Demand exactly the credentials that the service asks for."""
        super().clean()
        if not self.service_id:
            return
        way = self.service.authentication
        if way == ServiceAuthentication.NONE:
            self.as_service = True
        if self.as_service:
            self.client_id = self.secret = self.user_id = self.user_representation = ""
            if not self.service.has_credentials:
                raise ValidationError({"as_service": _("This service has no credentials of its own.")})
            return
        if not self.service.asks_for_client_id:
            self.client_id = ""
        elif not self.client_id:
            raise ValidationError({"client_id": _("This service asks for a client id and its secret.")})
        if not self.encrypted_secret:
            raise ValidationError({"secret": _("Enter the secret, or choose the service's own credentials.")})
