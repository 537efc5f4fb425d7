"""Routes of organizations and members."""

from __future__ import annotations

from django.urls import path

from organizations import views

urlpatterns = [
    path("", views.organization, name="organization"),
    path("settings", views.settings, name="settings"),
    path("settings/delete", views.delete, name="delete_organization"),
    path("members", views.member_list, name="members"),
    path(
        "invitations/<str:invitation>/withdraw",
        views.withdraw_invitation,
        name="withdraw_invitation",
    ),
]
