"""Who may see which page. Every view says what it needs; one that says nothing is shown to nobody.

    @needs(Role.VIEWER)
    def task_list(request): …

    path("people/", needs(Role.ADMINISTRATOR)(PeopleView.as_view()))

Views of the REST API say it as ``right`` of their class (``bptl.api.rights``), the admin pages are for administrators,
and Django's ``login_not_required`` opens a view to everybody: the list of those is in a test.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from bptl.accounts.models import User
from bptl.accounts.roles import Role
from bptl.lib.log import get_logger

log = get_logger(__name__)

View = TypeVar("View", bound=Callable[..., Any])
_MARK = "bptl_needs"
ANY_LOGIN = "any login"
"""What a view needs that also who has no role may see: their own password, or leaving."""
OPEN = "open"
OF_ITS_OWN = "of its own"
"""A view of the REST API: it asks for its right itself, because it also takes tokens."""


class RoleMissing(PermissionDenied):
    """The page of this error (403) says which role is needed."""

    def __init__(self, needed: Role) -> None:
        self.needed = needed
        super().__init__(f"this needs the role {needed}")


def needs(role: Role) -> Callable[[View], View]:
    """Mark a view as one for people with this role, or a higher one."""

    def mark(view: View) -> View:
        setattr(view, _MARK, role)
        return view

    return mark


def for_any_login(view: View) -> View:
    """Mark a view as one for everybody who is logged in, also without a role."""
    setattr(view, _MARK, ANY_LOGIN)
    return view


def declared(view: Any) -> Role | str | None:
    """What a view, as the resolver finds it, needs: a role, ANY_LOGIN, OPEN or OF_ITS_OWN; None if it does not say."""
    if getattr(getattr(view, "cls", None), "right", None) is not None:
        return OF_ITS_OWN
    if (said := getattr(view, _MARK, None)) is not None:
        return said  # type: ignore[no-any-return]
    if hasattr(view, "cls"):
        # Django REST framework calls each of its views open, as it asks for logins itself.
        return None
    if getattr(view, "login_required", True) is False:
        return OPEN
    if hasattr(view, "admin_site") or hasattr(view, "model_admin"):
        return Role.ADMINISTRATOR
    return None


def person(request: HttpRequest) -> User:
    """Who is logged in; PermissionDenied for nobody."""
    if not isinstance(request.user, User):
        raise PermissionDenied
    return request.user


def require(request: HttpRequest, role: Role) -> User:
    """The person, when they have the role: for what only a part of a page needs. Raises RoleMissing."""
    user = person(request)
    if not user.may(role):
        raise RoleMissing(role)
    return user


class RightsMiddleware(LoginRequiredMiddleware):
    """Refuses each view that has not said what it needs, and who lacks that."""

    def process_view(
        self,
        request: HttpRequest,
        view_func: Callable[..., Any],
        view_args: tuple[Any, ...],
        view_kwargs: dict[str, Any],
    ) -> HttpResponseBase | None:
        """None lets the view be called."""
        need = declared(view_func)
        if need in {OPEN, OF_ITS_OWN}:
            return None
        if not request.user.is_authenticated:
            answer: HttpResponseBase = self.handle_no_permission(request, view_func)
            return answer
        if need is None:
            log.error("right.undeclared", view=f"{view_func.__module__}.{view_func.__qualname__}")
            raise PermissionDenied
        if isinstance(need, Role):
            require(request, need)
        return None
