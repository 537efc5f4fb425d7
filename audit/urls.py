"""Routes of the review pages."""

from __future__ import annotations

from django.urls import path

from audit import views

urlpatterns = [
    path("activity", views.activity, name="activity"),
    path("activity/export", views.export_entries, name="export"),
    path("activity/counts", views.counts, name="counts"),
    path("activity/views", views.views_page, name="saved_views"),
    path("activity/views/<str:view>", views.view_page, name="saved_view"),
    path("activity/new", views.new_entries, name="new_entries"),
    path("activity/complete", views.complete, name="complete"),
    path("activity/<str:entry>", views.entry, name="entry"),
    path("history/resource/<str:resource>", views.resource_history, name="resource_history"),
    path("history/actor/<str:actor>", views.actor_history, name="actor_history"),
    path("projects/<str:project>/keys", views.key_history, name="key_history"),
]
