"""Routes of organizations and members."""

from __future__ import annotations

from django.urls import path

from organizations import views

urlpatterns = [
    path("", views.organization, name="organization"),
    path("members", views.member_list, name="members"),
    path("members/<str:member>", views.member, name="member"),
    path(
        "invitations/<str:invitation>/withdraw",
        views.withdraw_invitation,
        name="withdraw_invitation",
    ),
]
