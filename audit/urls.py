"""Routes of the review pages."""

from __future__ import annotations

from django.urls import path

from audit import review

urlpatterns = [
    path("overview", review.overview, name="overview"),
    path("search", review.search, name="search"),
    path("activity", review.activity, name="activity"),
    path("activity/export", review.export_entries, name="export"),
    path("activity/evidence", review.export_evidence, name="export_evidence"),
    path("activity/counts", review.counts, name="counts"),
    path("activity/facet", review.facet, name="facet"),
    path("activity/views", review.views_page, name="saved_views"),
    path("activity/views/<str:view>", review.view_page, name="saved_view"),
    path("activity/new", review.new_entries, name="new_entries"),
    path("activity/complete", review.complete, name="complete"),
    path("activity/<str:entry>", review.entry, name="entry"),
    path("activity/<str:entry>/proof", review.proof, name="proof"),
    path("history/resource/<str:resource>", review.resource_history, name="resource_history"),
    path("history/actor/<str:actor>", review.actor_history, name="actor_history"),
    path("access", review.access, name="access"),
    path("evidence", review.evidence, name="evidence"),
    path("evidence/witnesses", review.witnesses_page, name="witnesses"),
    path("projects/<str:project>/keys", review.key_history, name="key_history"),
]
