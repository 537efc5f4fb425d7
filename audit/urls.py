"""Routes of the review pages."""

from __future__ import annotations

from django.urls import path

from audit import views

urlpatterns = [
    path("activity", views.activity, name="activity"),
    path("activity/export", views.export_entries, name="export"),
    path("activity/counts", views.counts, name="counts"),
    path("activity/complete", views.complete, name="complete"),
    path("activity/<str:entry>", views.entry, name="entry"),
    path("projects/<str:project>/keys", views.key_history, name="key_history"),
]
