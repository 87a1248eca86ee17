"""Mappings are added, changed, paused, resumed and removed: each page says first what waits and what would change."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, ClassVar

from django.contrib import messages
from django.core.exceptions import NON_FIELD_ERRORS, ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils.functional import Promise
from django.utils.translation import get_language, gettext_lazy
from django.utils.translation import gettext as _
from django.views import View

from bptl.connections.models import Engine, Mapping
from bptl.tasks import mapping_changes, queries
from bptl.tasks.queries import Held
from bptl.web import mapping_consequences as consequences
from bptl.web.acting import by
from bptl.web.mapping_forms import MappingForm, PauseForm
from bptl.web.mapping_list import found
from bptl.web.reason_form import ReasonForm
from bptl.work_units.description import inputs_of, outputs_of


class MappingFormPage(View):
    """A new mapping, or one that is changed. What is sent without the button of saving is only checked."""

    http_method_names: Sequence[str] = ["get", "head", "post", "options"]

    def get(self, request: HttpRequest, mapping_id: int | None = None) -> HttpResponse:
        """The form; ``engine``, ``topic`` and ``unit`` of the address fill a new one."""
        mapping = found(mapping_id).mapping if mapping_id is not None else None
        told = {name: request.GET[name] for name in ("topic", "unit") if name in request.GET}
        initial = {} if mapping else {**told, "engine": _wanted_engine(request.GET.get("engine", ""))}
        return self._page(request, MappingForm(instance=mapping, initial=initial))

    def post(self, request: HttpRequest, mapping_id: int | None = None) -> HttpResponse:
        """Check what was typed, and save it when that was asked."""
        mapping = found(mapping_id).mapping if mapping_id is not None else None
        form = MappingForm(request.POST, instance=mapping)
        valid = form.is_valid()
        if request.POST.get("intent") != "save":
            form.forgive_what_is_not_typed_yet()
            return self._page(request, form, checked=True)
        if not valid:
            return self._page(request, form)
        if mapping is not None and form.cleaned_data["seen"] != mapping.updated_at.isoformat():
            return self._page(request, form, HTTPStatus.CONFLICT, stale=True)
        try:
            mapping_changes.save(form.instance, form.bound, by=by(request), reason=form.cleaned_data.get("reason", ""))
        except Mapping.DoesNotExist as error:
            raise Http404 from error
        except ValidationError as error:
            # Somebody saved the same topic between the check and now.
            form.add_error(None, [fault for faults in error.message_dict.values() for fault in faults])
            return self._page(request, form)
        done = _("%(mapping)s is changed.") if mapping else _("%(mapping)s is added.")
        messages.success(request, done % {"mapping": form.instance.topic})
        return redirect("mapping", form.instance.pk)

    def _page(
        self,
        request: HttpRequest,
        form: MappingForm,
        status: HTTPStatus = HTTPStatus.OK,
        *,
        checked: bool = False,
        stale: bool = False,
    ) -> HttpResponse:
        mapping = None if form.instance._state.adding else form.instance
        held = queries.held().get(mapping.pk, Held()) if mapping else Held()
        unit = form.unit_chosen
        context: dict[str, Any] = {
            "form": form,
            "mapping": mapping,
            "unit": unit,
            "purpose": unit.documented(get_language() or "en").split("\n\n") if unit else [],
            "inputs": inputs_of(unit) if unit else (),
            "outputs": outputs_of(unit) if unit else (),
            "waits": consequences.waits(held) if mapping else [],
            "consequences": consequences.of_change(mapping, form.changed, held) if mapping and form.is_bound else [],
            "checked": checked,
            "stale": stale,
            "seen": mapping.updated_at.isoformat() if mapping and stale else form["seen"].value() or "",
            "general_errors": form.errors.get(NON_FIELD_ERRORS, []),
        }
        partial = request.headers.get("HX-Request")
        return render(
            request, "web/mapping_fields.html" if partial else "web/mapping_form.html", context, status=status
        )


class MappingAction(ABC, View):
    """What is done to a mapping with a reason: shown with GET, done with POST."""

    http_method_names: Sequence[str] = ["get", "head", "post", "options"]

    label: ClassVar[str | Promise]
    form_class: ClassVar[type[ReasonForm]] = ReasonForm
    says: ClassVar[staticmethod[[Mapping, Held], Sequence[str]]]

    @abstractmethod
    def do(self, request: HttpRequest, mapping: Mapping, said: dict[str, Any]) -> str:
        """Do it; answers what to tell. Raises ValidationError by field, Mapping.DoesNotExist."""

    def get(self, request: HttpRequest, mapping_id: int) -> HttpResponse:
        """What will happen, and the form."""
        return self._page(request, found(mapping_id).mapping, self.form_class())

    def post(self, request: HttpRequest, mapping_id: int) -> HttpResponse:
        """Do it, and go to the mapping."""
        mapping = found(mapping_id).mapping
        form = self.form_class(request.POST)
        if not form.is_valid():
            return self._page(request, mapping, form)
        try:
            told = self.do(request, mapping, form.cleaned_data)
        except ValidationError as error:
            form.add_error(None, error)
            return self._page(request, mapping, form)
        except Mapping.DoesNotExist as error:
            raise Http404 from error
        messages.success(request, told)
        return redirect(self.next(mapping))

    def next(self, mapping: Mapping) -> str:
        """Where one is afterwards."""
        return reverse("mapping", args=[mapping.pk])

    def _page(self, request: HttpRequest, mapping: Mapping, form: ReasonForm) -> HttpResponse:
        held = queries.held().get(mapping.pk, Held())
        back = reverse("mapping", args=[mapping.pk])
        context = {
            "label": self.label,
            "name": mapping.topic,
            "crumbs": [(reverse("mappings"), _("Mappings")), (back, mapping.topic)],
            "consequences": type(self).says(mapping, held),
            "waiting": reverse("mapping-waiting", args=[mapping.pk]) if mapping.engine_id else "",
            "form": form,
            "back": back,
        }
        return render(request, "web/decide.html", context)


class Pause(MappingAction):
    """Nothing is fetched for a while."""

    label = gettext_lazy("Pause")
    form_class = PauseForm
    says = staticmethod(consequences.of_pause)

    def do(self, request: HttpRequest, mapping: Mapping, said: dict[str, Any]) -> str:
        """See ``mapping_changes.pause``."""
        mapping_changes.pause(mapping.pk, by=by(request), reason=said["reason"], until=said["until"])
        return consequences.told_of_pause(mapping, said["until"])


class Resume(MappingAction):
    """It is fetched for again."""

    label = gettext_lazy("Resume")
    says = staticmethod(consequences.of_resumption)

    def do(self, request: HttpRequest, mapping: Mapping, said: dict[str, Any]) -> str:
        """See ``mapping_changes.resume``."""
        mapping_changes.resume(mapping.pk, by=by(request), reason=said["reason"])
        return _("%(mapping)s is resumed.") % {"mapping": mapping.topic}


class Remove(MappingAction):
    """It is forgotten."""

    label = gettext_lazy("Remove")
    says = staticmethod(consequences.of_removal)

    def do(self, request: HttpRequest, mapping: Mapping, said: dict[str, Any]) -> str:
        """See ``mapping_changes.remove``."""
        mapping_changes.remove(mapping.pk, by=by(request), reason=said["reason"])
        return _("%(mapping)s is removed.") % {"mapping": mapping.topic}

    def next(self, mapping: Mapping) -> str:
        """The list."""
        return reverse("mappings")


def _wanted_engine(name: str) -> Engine | None:
    """The engine of this name; without a name the only one there is, which nobody needs to choose."""
    rows = list((Engine.objects.filter(name=name) if name else Engine.objects.all())[:2])
    return rows[0] if len(rows) == 1 else None
