"""Engines, services, applications and mappings from a file: the steps of django-setup-configuration.

What the file names is made or changed; what it does not say stays as it is, and so does whatever it does not name.
A row that is what the file says already is not touched, so that the same file may be applied at every start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model as DjangoModel
from django_setup_configuration.configuration import BaseConfigurationStep
from django_setup_configuration.exceptions import ConfigurationRunFailed
from django_setup_configuration.models import ConfigurationModel
from pydantic import BaseModel, ConfigDict, Field, SecretStr

from bptl.connections import bindings, mappings
from bptl.connections.models import WITHOUT_ENGINE, Engine, Mapping
from bptl.connections.service_models import Application, Service, ServiceGrant


class Item(BaseModel):
    """One row in the file. A plain model: a ConfigurationModel would read its fields from the environment too."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    def said(self, *without: str) -> dict[str, Any]:
        """What the file says of the row's columns: a secret in clear, a ``…_file`` as what stands in it.

        Raises ConfigurationRunFailed for a file that cannot be read.
        """
        told: dict[str, Any] = {}
        for name in self.model_fields_set.difference(without):
            value = getattr(self, name)
            if isinstance(value, SecretStr):
                told[name] = value.get_secret_value()
            elif isinstance(value, Path):
                told[name.removesuffix("_file")] = _read(f"{self.title()}: {name}", value)
            else:
                told[name] = value
        return told

    def title(self) -> str:
        """What people call it."""
        return next(str(getattr(self, name)) for name in ("name", "label", "service", "topic") if hasattr(self, name))


class Reached(Item):
    """What engines and services have in common."""

    secret: SecretStr | None = Field(None, description="Better: secret_file, or value_from with an env.")
    secret_file: Path | None = None
    certificate_file: Path | None = Field(None, description="Client certificate (PEM).")
    key_file: Path | None = Field(None, description="Its private key (PEM).")
    authorities_file: Path | None = Field(None, description="Own certificate authorities (PEM).")
    authentication: str = ""
    token_address: str = ""
    scope: str = ""
    active: bool = True


class EngineItem(Reached):
    """An engine."""

    name: str
    address: str
    product: str = "operaton"
    username: str = ""
    tenant_ids: list[str] = []


class ServiceItem(Reached):
    """A service."""

    name: str
    kind: str
    address: str
    client_id: str = ""
    header: str = ""
    user_id: str = ""
    user_representation: str = ""
    outway: str = ""
    fsc_grant_hash: str = ""
    timeout_seconds: int = 10
    slow_after_seconds: float | None = None
    data_class: str = ""
    test_path: str = ""
    most_at_once: int | None = Field(None, description="Tasks that run at the same time and use it.")
    most_a_minute: int | None = Field(None, description="Tasks that begin within a minute and use it.")


class GrantItem(Item):
    """A service that an application may use."""

    service: str
    as_service: bool = False
    client_id: str = ""
    secret: SecretStr | None = None
    secret_file: Path | None = None
    user_id: str = ""
    user_representation: str = ""


class ApplicationItem(Item):
    """An application. ``services`` are exactly those that it may use."""

    app_id: str
    label: str
    units: list[str] = []
    services: list[GrantItem] = []
    active: bool = True


class MappingItem(Item):
    """A mapping, known by its engine, topic and filters. ``services`` are names by alias, exactly these."""

    engine: str = Field(description="Name of the engine; rest: calls of the REST API.")
    topic: str
    unit: str
    services: dict[str, str] = {}
    active: bool = True
    lock_seconds: int = 300
    longest_run_seconds: int | None = None
    most_at_once: int | None = Field(None, description="Tasks of it that run at the same time.")
    quarantine_after: int = Field(3, description="So many processes may die on a task before it waits for a person.")
    retry_plan: str = ""
    error_codes: dict[str, str] = {}
    priority: int = 0
    use_engine_priority: bool = True
    oldest_first: bool = False
    business_key: str = ""
    definition_keys: list[str] = []
    version_tag: str = ""
    tenant_ids: list[str] = []
    without_tenant: bool = False
    local_variables: bool = False
    owner_name: str = Field("", description="Who is told when its tasks fail.")
    owner_mail: list[str] = []
    owner_webhook: str = ""
    owner_secret: SecretStr | None = Field(None, description="Better: owner_secret_file.")
    owner_secret_file: Path | None = None


class Engines(ConfigurationModel):  # type: ignore[metaclass]  # theirs, by design
    """The engines of a file."""

    items: list[EngineItem]


class Services(ConfigurationModel):  # type: ignore[metaclass]  # theirs, by design
    """The services of a file."""

    items: list[ServiceItem]


class Applications(ConfigurationModel):  # type: ignore[metaclass]  # theirs, by design
    """The applications of a file."""

    items: list[ApplicationItem]


class Mappings(ConfigurationModel):  # type: ignore[metaclass]  # theirs, by design
    """The mappings of a file."""

    items: list[MappingItem]


Model = TypeVar("Model", bound=ConfigurationModel)
ItemType = TypeVar("ItemType", bound=Item)


class Outcome:
    """What became of the rows of one step, by name."""

    def __init__(self) -> None:
        self.made: list[str] = []
        self.changed: list[str] = []
        self.same: list[str] = []


class Step(BaseConfigurationStep[Model]):
    """One part of a file; ``outcome`` tells what was done."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.outcome = Outcome()


class EngineStep(Step[Engines]):
    """Engines."""

    verbose_name = "engines"
    namespace = "engines"
    enable_setting = "engines_config_enable"
    config_model = Engines

    def execute(self, model: Engines) -> None:
        """Make or change them. Raises ConfigurationRunFailed."""
        for place, item in _placed(self.namespace, model.items):
            row = Engine.objects.filter(name=item.name).first() or Engine(name=item.name, authentication="none")
            _bring(row, item.said(), place, self.outcome)


class ServiceStep(Step[Services]):
    """Services."""

    verbose_name = "services"
    namespace = "services"
    enable_setting = "services_config_enable"
    config_model = Services

    def execute(self, model: Services) -> None:
        """Make or change them. Raises ConfigurationRunFailed."""
        for place, item in _placed(self.namespace, model.items):
            row = Service.objects.filter(name=item.name).first() or Service(name=item.name)
            _bring(row, item.said(), place, self.outcome)


class ApplicationStep(Step[Applications]):
    """Applications with their rights."""

    verbose_name = "applications"
    namespace = "applications"
    enable_setting = "applications_config_enable"
    config_model = Applications

    def execute(self, model: Applications) -> None:
        """Make or change them. Raises ConfigurationRunFailed."""
        for place, item in _placed(self.namespace, model.items):
            row = Application.objects.filter(app_id=item.app_id).first() or Application(app_id=item.app_id)
            _bring(row, item.said("services"), place, self.outcome)
            if "services" in item.model_fields_set:
                self._grant(row, item.services, place)

    def _grant(self, application: Application, items: Sequence[GrantItem], place: str) -> None:
        for inner, item in _placed(f"{place}: services", items):
            service = _service(item.service, inner)
            grant = ServiceGrant.objects.filter(application=application, service=service).first()
            grant = grant or ServiceGrant(application=application, service=service)
            _bring(grant, {"as_service": item.as_service} | item.said("service"), inner, self.outcome)
        application.grants.exclude(service__name__in=[item.service for item in items]).delete()


class MappingStep(Step[Mappings]):
    """Mappings with their services."""

    verbose_name = "mappings"
    namespace = "mappings"
    enable_setting = "mappings_config_enable"
    config_model = Mappings

    def execute(self, model: Mappings) -> None:
        """Make or change them. Raises ConfigurationRunFailed."""
        for place, item in _placed(self.namespace, model.items):
            filters: dict[str, Any] = {
                "engine": _engine(item.engine, place),
                "topic": item.topic,
                "business_key": item.business_key,
                "definition_keys": sorted(set(item.definition_keys)),
                "version_tag": item.version_tag,
                "tenant_ids": sorted(set(item.tenant_ids)),
                "without_tenant": item.without_tenant,
            }
            row = Mapping.objects.filter(**filters).first() or Mapping(**filters)
            held = bindings.of(row) if row.pk else {}
            bound = held
            if "services" in item.model_fields_set:
                bound = {alias: _service(name, place) for alias, name in item.services.items()}
            save = partial(mappings.save, row, bound)
            _bring(row, item.said("services", *filters), place, self.outcome, save=save, also=bound != held)


def _bring(
    row: DjangoModel,
    said: dict[str, Any],
    place: str,
    outcome: Outcome,
    *,
    save: Callable[[], None] | None = None,
    also: bool = False,
) -> None:
    """Make a row what the file says; ``also``: something beside its columns differs."""
    is_new = row._state.adding
    before = {name: getattr(row, name) for name in said}
    try:
        for name, value in said.items():
            if value != before[name]:
                setattr(row, name, value)
        row.full_clean()
        is_same = not is_new and not also and before == {name: getattr(row, name) for name in said}
        if not is_same:
            (save or row.save)()
    except ValidationError as error:
        raise ConfigurationRunFailed("; ".join(_faults(error, place))) from error
    (outcome.made if is_new else outcome.same if is_same else outcome.changed).append(place)


def _faults(error: ValidationError, place: str) -> Iterable[str]:
    if not hasattr(error, "error_dict"):
        return [f"{place}: {message}" for message in error.messages]
    return [
        f"{place}: {message}" if field == "__all__" else f"{place}: {field}: {message}"
        for field, messages in error.message_dict.items()
        for message in messages
    ]


def _placed(where: str, items: Sequence[ItemType]) -> Iterable[tuple[str, ItemType]]:
    return ((f"{where}[{number}] ({item.title()})", item) for number, item in enumerate(items))


def _engine(name: str, place: str) -> Engine | None:
    if name == WITHOUT_ENGINE:
        return None
    try:
        return Engine.objects.get(name=name)
    except Engine.DoesNotExist:
        raise ConfigurationRunFailed(f"{place}: engine: there is none called {name!r}{_known(Engine)}") from None


def _service(name: str, place: str) -> Service:
    try:
        return Service.objects.get(name=name)
    except Service.DoesNotExist:
        raise ConfigurationRunFailed(f"{place}: service: there is none called {name!r}{_known(Service)}") from None


def _known(model: type[Engine | Service]) -> str:
    return f" (known: {', '.join(model.objects.values_list('name', flat=True)) or 'none'})"


def _read(field: str, path: Path) -> str:
    try:
        return path.read_text().strip("\r\n")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationRunFailed(f"{field}: {path} cannot be read: {error}") from error
