"""The map of the site: each app's pages and the API."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, include, path

urlpatterns: list[URLPattern | URLResolver] = [
    path("api/", include("dotenv_cloud.api.urls")),
]
