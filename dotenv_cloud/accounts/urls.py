"""Routes of accounts."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from dotenv_cloud.accounts import views
from organizations.views import create

urlpatterns = [
    path("", views.home, name="home"),
    path("organizations", views.organizations, name="organizations"),
    path("organizations/new", create, name="new_organization"),
    path("profile", views.profile, name="profile"),
    path("profile/leave/<str:membership>", views.leave, name="leave"),
    path("profile/tokens/new", views.create_access_token, name="create_access_token"),
    path(
        "profile/tokens/<str:access_token>/revoke",
        views.revoke_access_token,
        name="revoke_access_token",
    ),
    path("sign-in", views.SignIn.as_view(), name="sign_in"),
    path("sign-out", LogoutView.as_view(), name="sign_out"),
    path("password", views.ChangePassword.as_view(), name="password_change"),
    path("password/reset", views.ResetPassword.as_view(), name="password_reset"),
    path("password/reset/sent", views.ResetPasswordSent.as_view(), name="password_reset_done"),
    path(
        "password/reset/<str:uidb64>/<str:token>",
        views.ChooseNewPassword.as_view(),
        name="password_reset_confirm",
    ),
    path("password/reset/done", views.PasswordWasReset.as_view(), name="password_reset_complete"),
    path("oauth/authorize", views.authorize, name="authorize"),
    path("invitations/<str:token>", views.invitation, name="invitation"),
]
