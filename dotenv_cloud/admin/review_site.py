"""The admin site: for reading, for staff, signed in through the site's own page."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponseBase
from django.template.response import SimpleTemplateResponse
from django.urls import URLPattern, URLResolver
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect

from organizations.read_only_admin import ReadOnlyAdmin

KEPT = frozenset(("index", "app_list", "jsi18n"))
"""What is left of the stock's own pages: none of them signs in, changes or leads elsewhere."""


class ReviewSite(AdminSite):
    site_header = "dotEnv Cloud"
    site_title = "dotEnv Cloud"
    index_title = "Read-only admin"
    site_url = "/"

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Read-only admins alone: those that come with other apps would offer changes."""
        if isinstance(admin_class, type) and issubclass(admin_class, ReadOnlyAdmin):
            super().register(model_or_iterable, admin_class, **options)

    def get_urls(self) -> list[Any]:
        urls: list[URLPattern | URLResolver] = super().get_urls()
        return [url for url in urls if isinstance(url, URLResolver) or url.name in KEPT]

    def admin_view(  # type: ignore[override]
        self, view: Callable[..., HttpResponseBase], cacheable: bool = False
    ) -> Callable[..., HttpResponseBase]:
        """Staff only, reading only; and rendered here, inside the request's transaction: what is
        read from the log is readable no longer than that."""

        @wraps(view)
        def inner(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            if not self.has_permission(request):
                raise PermissionDenied("Only compliance staff may use the admin.")
            if request.method not in ("GET", "HEAD", "OPTIONS"):
                raise PermissionDenied("The admin is read-only.")
            response = view(request, *args, **kwargs)
            if isinstance(response, SimpleTemplateResponse):
                response.render()
            return response

        return csrf_protect(inner if cacheable else never_cache(inner))
