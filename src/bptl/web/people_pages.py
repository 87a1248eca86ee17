"""People: who may do what, and who was here last. For administrators."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from bptl.accounts import people, second_factor, welcome
from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.web.acting import by
from bptl.web.rights import needs, person

ROLES = [("", gettext_lazy("none")), *((role.value, role.label) for role in Role)]


class InviteForm(forms.Form):
    """Somebody new."""

    username = forms.CharField(label=gettext_lazy("Username"), max_length=150)
    full_name = forms.CharField(label=gettext_lazy("Name"), max_length=200, required=False)
    email = forms.EmailField(label=gettext_lazy("E-mail"), required=False)
    role = forms.ChoiceField(label=gettext_lazy("Role"), choices=ROLES, required=False)


class ReasonForm(forms.Form):
    """Why; and the role, where one is given."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)
    role = forms.ChoiceField(choices=ROLES, required=False)


@needs(Role.ADMINISTRATOR)
@require_safe
def people_list(request: HttpRequest) -> HttpResponse:
    """Everybody who can log in, and who could."""
    found = User.objects.prefetch_related("groups").order_by("-is_active", "username")
    return render(request, "web/people.html", {"people": found, "roles": list(Role)})


@needs(Role.ADMINISTRATOR)
@require_http_methods(["GET", "HEAD", "POST"])
def invite(request: HttpRequest) -> HttpResponse:
    """Make somebody, and the link by which they choose a password."""
    form = InviteForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        said = form.cleaned_data
        try:
            user = welcome.invite(
                said["username"],
                role=_role(said["role"]),
                email=said["email"],
                full_name=said["full_name"],
                by=by(request),
            )
        except ValidationError as error:
            for field, faults in error.message_dict.items():
                form.add_error(field if field in form.fields else None, faults)
        else:
            return _link_page(request, user)
    return render(request, "web/invite.html", {"form": form})


@needs(Role.ADMINISTRATOR)
@require_safe
def person_page(request: HttpRequest, user_id: int) -> HttpResponse:
    """One of them, and what can be done."""
    return _page(request, get_object_or_404(User, pk=user_id))


@needs(Role.ADMINISTRATOR)
@require_POST
def set_role(request: HttpRequest, user_id: int) -> HttpResponse:
    """Give another role."""
    return _do(request, user_id, lambda user, said: people.set_role(user, _role(said["role"]), **_why(request, said)))


@needs(Role.ADMINISTRATOR)
@require_POST
def set_active(request: HttpRequest, user_id: int, active: str) -> HttpResponse:
    """Let in, or keep out."""
    return _do(request, user_id, lambda user, said: people.set_active(user, active == "on", **_why(request, said)))


@needs(Role.ADMINISTRATOR)
@require_POST
def remove_second_factor(request: HttpRequest, user_id: int) -> HttpResponse:
    """For who lost the app and the recovery codes."""
    return _do(request, user_id, lambda user, said: second_factor.remove(user, **_why(request, said)))


@needs(Role.ADMINISTRATOR)
@require_POST
def new_link(request: HttpRequest, user_id: int) -> HttpResponse:
    """A link by which somebody chooses a password anew."""
    user = get_object_or_404(User, pk=user_id, is_active=True, subject=None)
    welcome.note_link(user, by=by(request))
    return _link_page(request, user)


def _do(request: HttpRequest, user_id: int, action: Callable[[User, dict[str, Any]], None]) -> HttpResponse:
    user = get_object_or_404(User, pk=user_id)
    form = ReasonForm(request.POST)
    if not form.is_valid():
        return _page(request, user, form=form, status=400)
    try:
        action(user, form.cleaned_data)
    except people.LastAdministrator:
        form.add_error(None, _("Nobody else could administer BPTL then. Make somebody else an administrator first."))
        return _page(request, get_object_or_404(User, pk=user_id), form=form, status=409)
    messages.success(request, _("%(name)s is changed.") % {"name": user.get_username()})
    return redirect("person", user_id)


def _page(request: HttpRequest, user: User, *, form: ReasonForm | None = None, status: int = 200) -> HttpResponse:
    context = {
        "one": user,
        "roles": ROLES,
        "form": form or ReasonForm(),
        "enrolled": second_factor.enrolled(user),
        "tokens": user.tokens.filter(revoked_at=None).order_by("name"),
        "self": user == person(request),
    }
    return render(request, "web/person.html", context, status=status)


def _link_page(request: HttpRequest, user: User) -> HttpResponse:
    return render(request, "web/invited.html", {"one": user, "link": request.build_absolute_uri(welcome.path(user))})


def _role(name: str) -> Role | None:
    return Role(name) if name else None


def _why(request: HttpRequest, said: dict[str, Any]) -> dict[str, Any]:
    return {"by": by(request), "reason": said["reason"]}
