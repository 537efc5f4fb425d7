"""The map of the site: each app's pages, the admin and the API."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

handler400 = "dotenv_cloud.api.errors.bad_request"
handler404 = "dotenv_cloud.api.errors.page_not_found"
handler500 = "dotenv_cloud.api.errors.crashed"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("dotenv_cloud.api.urls")),
    path("admin", RedirectView.as_view(pattern_name="admin:index", http_method_names=["get"])),
    path("admin/", admin.site.urls),
    path("", include("dotenv_cloud.accounts.urls")),
    path("o/<str:organization>/", include("organizations.urls")),
    path("o/<str:organization>/", include("keys.urls")),
    path("o/<str:organization>/", include("audit.urls")),
]
