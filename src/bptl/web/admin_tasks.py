"""Admin pages of the heart: to look at, never to change, because rows move only in the guarded statements of tasks."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.functional import cached_property
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.translation import gettext_lazy as _

from bptl.tasks.models import Event, Fetch, Lease, Process, Task
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


class TaskAdmin(LookOnly, TaskModelAdmin):
    """Where is a task, and why."""

    paginator = ShallowPaginator
    list_per_page = 50
    show_full_result_count = False
    list_display = ("id", "topic", "status", "outcome", "engine", "business_key", "attempts", "changed_at")
    list_filter = ("status", "outcome", "engine")
    list_select_related = ("engine",)
    ordering = ("-id",)
    # Whole ids, as people paste them: a search for parts would read the whole table.
    search_fields = ("external_id__exact", "business_key__exact", "process_instance_id__exact")
    search_help_text = _("External task, business key or process instance, written in full.")
    inlines = (LeaseInline, EventInline)
    fieldsets = (
        (None, {"fields": ("topic", "engine", "caller", "mapping", "status", "outcome", "changed_at", "shown_result")}),
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
    return format_html("<pre>{}</pre>", json.dumps(data, indent=2, ensure_ascii=False, sort_keys=True))
