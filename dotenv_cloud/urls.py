"""The map of the site: each app's pages, the admin and the API."""

from __future__ import annotations

from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from audit.review.styleguide import styleguide
from dotenv_cloud.api import evidence

handler400 = "dotenv_cloud.api.errors.bad_request"
handler404 = "dotenv_cloud.api.errors.page_not_found"
handler500 = "dotenv_cloud.api.errors.crashed"

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("dotenv_cloud.api.urls")),
    # The prefix of a log for clients of C2SP tlog-tiles.
    path("audit/<str:organization>/checkpoint", evidence.CurrentCheckpoint.as_view(schema=None)),
    path("audit/<str:organization>/tile/<path:tile>", evidence.OneTile.as_view(schema=None)),
    path(".well-known/dotenv-audit-keys", evidence.installation_keys),
    path("admin", RedirectView.as_view(pattern_name="admin:index", http_method_names=["get"])),
    path("admin/", admin.site.urls),
    path("styleguide", styleguide, name="styleguide"),
    path("", include("dotenv_cloud.accounts.urls")),
    path("o/<str:organization>/", include("organizations.urls")),
    path("o/<str:organization>/", include("keys.urls")),
    path("o/<str:organization>/", include("audit.urls")),
]
