"""Routes of projects' keys and of API keys."""

from __future__ import annotations

from django.urls import path

from keys import views

urlpatterns = [
    path("projects", views.projects, name="projects"),
    path("projects/<str:project>/keys/rotate", views.rotate, name="rotate_key"),
    path("api-keys", views.api_key_list, name="api_keys"),
    path("api-keys/new", views.create_api_key, name="create_api_key"),
    path("api-keys/<str:api_key>", views.api_key, name="api_key"),
]
