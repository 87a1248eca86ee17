"""Admin pages of the heart: to look at, never to change, because rows move only in the guarded statements of tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.paginator import Paginator
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from bptl.connections.models import WITHOUT_ENGINE, Engine
from bptl.lib.redaction import without_own_keys
from bptl.tasks.lifecycle import Status, outcomes_of
from bptl.tasks.models import BACKWARDS, Event, Fetch, Lease, Process, Task
from bptl.tasks.queries import of_engine
from bptl.web.admin_look import LookOnly

if TYPE_CHECKING:
    TaskModelAdmin = admin.ModelAdmin[Task]
    FetchModelAdmin = admin.ModelAdmin[Fetch]
    ProcessModelAdmin = admin.ModelAdmin[Process]
    LeaseTabularInline = admin.TabularInline[Lease, Task]
    EventTabularInline = admin.TabularInline[Event, Task]
    AnyPaginator = Paginator[Any]
else:
    TaskModelAdmin = FetchModelAdmin = ProcessModelAdmin = admin.ModelAdmin
    LeaseTabularInline = EventTabularInline = admin.TabularInline
    AnyPaginator = Paginator

MOST_COUNTED = 10_000
"""A list of more rows than this is as good as endless: filters find what pages cannot."""


class ShallowPaginator(AnyPaginator):
    """Counts at most MOST_COUNTED rows, so that a page of a big table costs no more than one of a small table."""

    @cached_property
    def count(self) -> int:
        """The number of rows, or MOST_COUNTED."""
        rows: Any = self.object_list
        return int(rows.order_by()[:MOST_COUNTED].count())


class LeaseInline(LookOnly, LeaseTabularInline):
    """The leases of a task, in order."""

    model = Lease
    extra = 0
    ordering = ("number",)
    fields = (
        *("number", "worker_id", "recorded_at", "claimed_at", "performed_at", "outcome", "cause"),
        *("extensions", "locked_until", "ended_at", "ended_as"),
    )
    readonly_fields = fields

    @admin.display(description=_("error"))
    def cause(self, lease: Lease) -> SafeString:
        """The error of this attempt."""
        return pretty(lease.error)


class EventInline(LookOnly, EventTabularInline):
    """What is not the happy path, and what people did."""

    model = Event
    extra = 0
    ordering = ("id",)
    fields = ("at", "name", "actor", "details")
    readonly_fields = fields

    @admin.display(description=_("details"))
    def details(self, event: Event) -> SafeString:
        """The event's details."""
        return pretty(event.detail)


class StateFilter(admin.SimpleListFilter):
    """Status and outcome together: that is what an index has in the order of the list."""

    title = _("state")
    parameter_name = "state"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All states of the lifecycle; ``queued``, ``delivered-completed``, …"""
        return [("-".join(words), " ".join(words)) for words in _states()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        """The tasks of the chosen state; all of them for a state that there is not."""
        for words in _states():
            if self.value() == "-".join(words):
                status, outcome = [*words, ""][:2]
                return queryset.filter(status=status, outcome=outcome)
        return queryset


def _states() -> list[list[str]]:
    return [[word.value for word in (status, outcome) if word] for status in Status for outcome in outcomes_of(status)]


class EngineFilter(admin.SimpleListFilter):
    """The tasks of one engine, by the index of lists."""

    title = _("engine")
    parameter_name = "engine"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """All engines, and that there is none."""
        engines = Engine.objects.order_by("name").values_list("id", "name")
        return [*((str(number), name) for number, name in engines), ("0", WITHOUT_ENGINE)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Task]) -> QuerySet[Task]:
        """The tasks of the chosen engine; all of them for what is no number of one."""
        value = self.value()
        known = {number for number, _name in self.lookup_choices}
        return queryset.filter(of_engine(int(value))) if value is not None and value in known else queryset


class NewestFirst(ChangeList):
    """Newest first, whatever the address says, by the order that an index has."""

    def get_ordering(self, request: HttpRequest, queryset: QuerySet[Any]) -> list[Any]:
        """See BACKWARDS; without a filter the primary key is that index."""
        return [BACKWARDS.asc(), "-id"] if queryset.query.where else ["-id"]


class TaskAdmin(LookOnly, TaskModelAdmin):
    """Where is a task, and why."""

    paginator = ShallowPaginator
    sortable_by = ()  # Each order of its own would sort all tasks.
    list_per_page = 50
    show_full_result_count = False
    list_display = ("id", "topic", "status", "outcome", "engine", "business_key", "attempts", "changed_at")
    list_filter = (StateFilter, EngineFilter)
    list_select_related = ("engine",)
    ordering = ("-id",)
    # Whole ids, as people paste them: a search for parts would read the whole table.
    search_fields = ("business_key__exact", "process_instance_id__exact")
    search_help_text = _("External task, business key or process instance, written in full.")
    inlines = (LeaseInline, EventInline)
    fieldsets = (
        (
            None,
            {
                "fields": (
                    "topic",
                    "engine",
                    "caller",
                    "mapping",
                    "status",
                    "outcome",
                    "error_group",
                    "changed_at",
                    "shown_result",
                )
            },
        ),
        (_("Report"), {"fields": ("report_tries", "report_refusals", "report_error", "next_report_at", "parked")}),
        (_("Variables"), {"fields": ("shown_variables", "shown_properties")}),
        (
            _("At the engine"),
            {
                "fields": (
                    *("external_id", "process_definition_key", "process_definition_id", "process_instance_id"),
                    *("activity_id", "business_key", "tenant_id", "engine_retries", "priority", "created_at"),
                )
            },
        ),
        (_("Here"), {"fields": ("attempts", "recorded_at", "by_hand", "assumed", "look_at", "emptied_at")}),
    )
    readonly_fields = ("shown_result", "shown_variables", "shown_properties")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Task]:
        """Without the wide columns: a page of one task reads them when it shows them."""
        found = super().get_queryset(request).select_related("mapping")  # a deleted one reads as none
        return found.defer("variables", "result", "extension_properties")

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """In the order that indexes have."""
        return NewestFirst

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """No filter but those of the list, which have an index."""
        return lookup in {StateFilter.parameter_name, EngineFilter.parameter_name}

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Task], search_term: str
    ) -> tuple[QuerySet[Task], bool]:
        """Also by external task. Its index begins with the engine, so each engine is named."""
        found, doubles = super().get_search_results(request, queryset, search_term)
        if not search_term:
            return found, doubles
        external = Q(engine=None, external_id=search_term)
        for engine_id in Engine.objects.values_list("id", flat=True):
            external |= Q(engine=engine_id, external_id=search_term)
        return found | queryset.filter(external), doubles

    @admin.display(description=_("result"))
    def shown_result(self, task: Task) -> SafeString:
        """What is reported."""
        return pretty(task.result)

    @admin.display(description=_("variables"))
    def shown_variables(self, task: Task) -> SafeString:
        """The variables as the engine gave them."""
        return pretty(task.variables)

    @admin.display(description=_("extension properties"))
    def shown_properties(self, task: Task) -> SafeString:
        """Properties of the activity in the model."""
        return pretty(task.extension_properties)


class FetchAdmin(LookOnly, FetchModelAdmin):
    """The requests for work."""

    paginator = ShallowPaginator
    sortable_by = ()
    list_per_page = 50
    show_full_result_count = False
    list_display = ("id", "worker_id", "engine", "process", "topics", "max_tasks", "started_at", "closed_as")
    list_filter = ("closed_as", "engine")
    list_select_related = ("engine", "process")
    search_fields = ("worker_id__exact",)
    ordering = ("-id",)


class ProcessAdmin(LookOnly, ProcessModelAdmin):
    """The processes of BPTL, living and ended."""

    paginator = ShallowPaginator
    list_per_page = 50
    show_full_result_count = False
    list_display = ("kind", "host", "pid", "places", "draining", "started_at", "heartbeat_at", "stopped_at", "died")
    list_filter = ("kind", "died")
    ordering = ("-heartbeat_at",)


def pretty(data: Any) -> SafeString:
    """JSON that people can read; a dash for nothing."""
    if not data:
        return format_html("{}", "-")
    text = json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True)
    return format_html("<pre>{}</pre>", without_own_keys(text))
