"""Pages of accounts. Signing in happens outside the request's transaction for its counts alone."""

from __future__ import annotations

from typing import Any

from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods

from audit import context
from audit.context import Actor
from audit.policy import ActorType
from audit.record import TO_EACH_ORGANIZATION, record
from dotenv_cloud.accounts import forms
from organizations import limits, members
from organizations.models import Organization, User


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class SignIn(views.LoginView):
    """Counts of failed attempts must outlive a rollback, so only the sign-in is atomic."""

    template_name = "accounts/sign_in.html"
    authentication_form = forms.SignInForm
    redirect_authenticated_user = True

    def form_valid(self, form: Any) -> HttpResponse:
        with transaction.atomic():
            return super().form_valid(form)

    def form_invalid(self, form: Any) -> HttpResponse:
        response = self.render_to_response(self.get_context_data(form=form))
        if form.is_limited:
            response.status_code = 429
        return response


class ChangePassword(SuccessMessageMixin, views.PasswordChangeView):  # type: ignore[type-arg]
    template_name = "accounts/password.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("home")
    success_message = "Your password was changed."
    extra_context = {"heading": "Change your password", "button": "Change password"}


class ResetPassword(views.PasswordResetView):
    """The answer is the same whether or not the account exists."""

    template_name = "accounts/password.html"
    email_template_name = "accounts/email/reset.txt"
    subject_template_name = "accounts/email/reset_subject.txt"
    success_url = reverse_lazy("password_reset_done")
    extra_context = {
        "heading": "Reset your password",
        "button": "Send me a link",
        "lead": "You will get an e-mail with a link to choose a new one.",
    }

    def form_valid(self, form: Any) -> HttpResponse:
        email = form.cleaned_data["email"]
        if not limits.hit("password_reset", email).allowed:
            # No more mail for this hour; the answer is still the same.
            return redirect(str(self.success_url))
        for user in User.objects.filter(email__iexact=email, is_active=True):
            record(
                "reset_password",
                resource_type="user",
                resource_id=user.pk,
                resource_label=user.email,
                organization_id=TO_EACH_ORGANIZATION,
            )
        return super().form_valid(form)


class ResetPasswordSent(views.PasswordResetDoneView):
    template_name = "accounts/message.html"
    extra_context = {
        "heading": "Look into your mail",
        "lead": "If there is an account with this address, a link to choose a new password is on "
        "its way. It works for an hour.",
    }


class ChooseNewPassword(views.PasswordResetConfirmView):
    template_name = "accounts/password.html"
    form_class = forms.SetPasswordForm
    success_url = reverse_lazy("password_reset_complete")
    extra_context = {"heading": "Choose a new password", "button": "Set password"}

    def form_valid(self, form: Any) -> HttpResponse:
        response = super().form_valid(form)
        # Whoever has just shown that the mail is theirs need not wait for others' attempts.
        limits.forget("sign_in_account", form.user.email)
        return response


class PasswordWasReset(views.PasswordResetCompleteView):
    template_name = "accounts/message.html"
    extra_context = {"heading": "Your password was changed", "lead": "Sign in with the new one."}


@login_required
def home(request: HttpRequest) -> HttpResponse:
    """To the only organization, or to the choice."""
    mine = list(_mine(request)[:2])
    if len(mine) == 1:
        return redirect("organization", organization=mine[0].slug)
    return redirect("organizations")


@login_required
def organizations(request: HttpRequest) -> HttpResponse:
    return render(request, "organizations/choose.html", {"organizations": _mine(request)})


def _mine(request: Any) -> Any:
    return Organization.objects.filter(memberships__user=request.user).order_by("name")


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponseBase:
    """Join by the link of an invitation: with one's account, or by making one."""
    found = members.find_invitation(token)
    if found is None:
        return render(
            request,
            "accounts/message.html",
            {
                "heading": "This invitation does not work any more",
                "lead": "It has expired, was used or was withdrawn. Ask for a new one.",
            },
            status=404,
        )
    if request.user.is_authenticated and request.user.email.lower() != found.email.lower():
        return render(request, "accounts/invitation_of_another.html", {"invitation": found})
    has_account = User.objects.filter(email__iexact=found.email).exists()
    is_theirs = request.user.is_authenticated
    form = None if has_account else forms.JoinForm(found.email, request.POST or None)
    if request.method == "POST" and (is_theirs or (form and form.is_valid())):
        try:
            return _join(request, found, form)
        except ValidationError as error:
            return render(
                request,
                "accounts/message.html",
                {"heading": "You could not join", "lead": " ".join(error.messages)},
                status=409,
            )
    return render(
        request,
        "accounts/invitation.html",
        {
            "invitation": found,
            "form": form,
            "has_account": has_account,
            "is_theirs": is_theirs,
        },
    )


def _join(request: HttpRequest, found: Any, form: forms.JoinForm | None) -> HttpResponse:
    with transaction.atomic():
        if form is None:
            members.accept(found, request.user)  # type: ignore[arg-type]
        else:
            user = User.objects.create_user(
                found.email, form.cleaned_data["password"], name=form.cleaned_data["name"]
            )
            with context.acting_as(Actor(ActorType.USER, user.pk, user.email)):
                members.accept(found, user)
            login(request, user, backend="django.contrib.auth.backends.ModelBackend")
    return redirect("organization", organization=found.organization.slug)
