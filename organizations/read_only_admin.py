"""What every admin is made of: staff look at rows of their organizations and change none."""

from __future__ import annotations

import uuid
from typing import Any, ClassVar, cast

from django.contrib import admin
from django.core.paginator import Paginator
from django.db.models import Model, Q, QuerySet
from django.http import Http404, HttpRequest
from django.urls import URLPattern
from django.utils.functional import cached_property

from organizations.membership_access import PersonRequest
from organizations.models import Organization
from organizations.permissions import organizations_with
from organizations.signals import access_denied

LARGEST_COUNT = 10_000


class StaffRequest(PersonRequest):
    """A request to the admin, with what is looked up once for it."""

    readable_organizations: list[Organization]


class BoundedPaginator(Paginator):
    """Counts no further than what anybody pages through."""

    @cached_property
    def count(self) -> int:
        rows: Any = self.object_list
        return int(rows.order_by()[:LARGEST_COUNT].count())


class ReadOnlyAdmin(admin.ModelAdmin):
    """Staff see the rows of organizations whose log they may read, and change none.

    Being a superuser opens nothing more. tenant: the lookup from a row to its organization.
    """

    tenant: ClassVar[str] = "organization"
    actions = None
    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER
    list_per_page = 50
    list_max_show_all = 0
    ordering = ("-id",)
    change_form_template = "admin/read_only_form.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        readable = [organization.pk for organization in self.readable(request)]
        return super().get_queryset(request).filter(self.within(readable))

    def within(self, organizations: list[uuid.UUID]) -> Q:
        """What makes a row one of these organizations'."""
        return Q(**{f"{self.tenant}__in": organizations})

    def readable(self, request: HttpRequest) -> list[Organization]:
        """The organizations whose log the person may read; guardian is asked once a request."""
        staff = cast(StaffRequest, request)  # the admin lets nobody in who is not signed in
        if not hasattr(staff, "readable_organizations"):
            staff.readable_organizations = list(organizations_with(staff.user, "audit:read"))
        return staff.readable_organizations

    def lookup_allowed(self, lookup: str, value: str, request: HttpRequest | None = None) -> bool:
        """What the filters at the side ask. By any other column one could guess what the pages
        keep out, a hash letter by letter, or who belongs to another organization."""
        asked = {f"{name}__exact" for name in self.list_filter}
        return lookup in asked and "\x00" not in str(value)

    def get_urls(self) -> list[URLPattern]:
        """The list and a row; the rest of the stock has no place here."""
        kept = ("_changelist", "_change")
        return [url for url in super().get_urls() if url.name and url.name.endswith(kept)]

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.has_view_permission(request)

    def has_view_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        """Of a row: its organization's log is readable. Of the model: there is a readable log."""
        if obj is None:
            return bool(self.readable(request))
        return self.get_queryset(request).filter(pk=obj.pk).exists()

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Model | None = None) -> bool:
        return False

    def _get_obj_does_not_exist_redirect(
        self, request: HttpRequest, opts: Any, object_id: str
    ) -> Any:
        """Another organization's row answers as one that does not exist, and is announced."""
        access_denied.send(
            type(self), request=request, status=404, reason="not_found", organization_id=None
        )
        raise Http404("There is no such row.")
