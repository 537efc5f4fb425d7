"""Pages of accounts. Signing in happens outside the request's transaction for its counts alone."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login, views
from django.contrib.auth.decorators import login_required
from django.contrib.messages.views import SuccessMessageMixin
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import (
    Http404,
    HttpRequest,
    HttpResponse,
    HttpResponseBase,
    HttpResponseRedirect,
)
from django.shortcuts import redirect, render
from django.urls import reverse_lazy
from django.utils.decorators import method_decorator
from django.views.decorators.cache import never_cache
from django.views.decorators.csrf import csrf_protect
from django.views.decorators.http import require_http_methods, require_POST

from audit import context
from audit.context import Actor
from audit.policy import ActorType
from audit.review import time_zones
from dotenv_cloud.accounts import forms
from keys import access_tokens, leaving
from keys.forms import AccessTokenForm
from keys.leaving import KeysOfLeaver
from keys.models import AccessToken
from organizations import limits, members, permissions, ulid
from organizations.emails import canonical
from organizations.labels import isolated
from organizations.membership_access import PersonRequest
from organizations.models import Invitation, Membership, User

logger = logging.getLogger(__name__)


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


@method_decorator(transaction.non_atomic_requests, name="dispatch")
class ChangePassword(SuccessMessageMixin, views.PasswordChangeView):  # type: ignore[type-arg]
    """Counts of wrong passwords must outlive a rollback, so only the change is atomic."""

    template_name = "accounts/password.html"
    form_class = forms.ChangePasswordForm
    success_url = reverse_lazy("profile")
    success_message = "Your password was changed."
    extra_context = {"heading": "Change your password", "button": "Change password"}

    def get_form_kwargs(self) -> dict[str, Any]:
        return super().get_form_kwargs() | {"request": self.request}

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        return super().form_valid(form)


class ResetPassword(views.PasswordResetView):
    """The answer is the same, and as fast, whether or not the account exists: whatever depends on
    that is done when the answer has been given."""

    template_name = "accounts/password.html"
    form_class = forms.ResetPasswordForm
    success_url = reverse_lazy("password_reset_done")
    extra_context = {
        "heading": "Reset your password",
        "button": "Send me a link",
        "lead": "You will get an e-mail with a link to choose a new one.",
    }

    def form_valid(self, form: Any) -> HttpResponse:
        limited = limits.hit("password_reset_address", limits.network(context.origin().ip))
        if not limited.allowed:
            message = "Too many links were requested from this address. Try again later."
            response = render(self.request, "429.html", {"message": message}, status=429)
            response["Retry-After"] = str(limited.retry_after)
            return response
        answer = AnswerFirst(str(self.success_url))
        # For an account that was asked about too often, no more mail for this hour.
        if limits.hit("password_reset", canonical(form.cleaned_data["email"])).allowed:
            answer.then = form.send_link
        return answer


class AnswerFirst(HttpResponseRedirect):
    """A redirect that does something once it is sent, as actor and from origin of the request."""

    then: Callable[[], None] | None = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._origin, self._who = context.origin(), context.actor()

    def close(self) -> None:
        then, self.then = self.then, None
        if then is not None:
            try:
                with context.acting_from(self._origin, self._who), transaction.atomic():
                    then()
            except Exception:
                # Nobody waits for it any more, and it may hold an address.
                logger.exception("what follows an answer failed")
        super().close()


class ResetPasswordSent(views.PasswordResetDoneView):
    template_name = "accounts/message.html"
    extra_context = {
        "heading": "Check your e-mail",
        "lead": "If there is an account with this address, a link to choose a new password is on "
        "its way. It works for an hour.",
    }


class ChooseNewPassword(views.PasswordResetConfirmView):
    template_name = "accounts/password.html"
    form_class = forms.SetPasswordForm
    success_url = reverse_lazy("password_reset_complete")
    extra_context = {"heading": "Choose a new password", "button": "Set password"}

    @method_decorator(transaction.atomic)
    def form_valid(self, form: Any) -> HttpResponse:
        # The link is good for one password: another request with it waits here and is then refused.
        form.user = User.objects.select_for_update().get(pk=form.user.pk)
        token = self.request.session.get(views.INTERNAL_RESET_SESSION_TOKEN)
        if not self.token_generator.check_token(form.user, token):
            self.validlink = False
            return self.render_to_response(self.get_context_data(form=None), status=409)
        response = super().form_valid(form)
        # A person who has just shown that the mail is theirs need not wait for others' attempts.
        limits.forget("sign_in_account", form.user.canonical_email)
        return response


class PasswordWasReset(views.PasswordResetCompleteView):
    template_name = "accounts/message.html"
    extra_context = {"heading": "Your password was changed", "lead": "Sign in with the new one."}


@require_http_methods(["GET", "HEAD"])
def authorize(request: HttpRequest) -> HttpResponse:
    """Where clients of the hosted product send a browser to sign in: what to do instead. Nothing
    that they put in the address is shown or followed."""
    return render(request, "accounts/authorize.html", {"base_url": settings.BASE_URL})


@login_required
def home(request: PersonRequest) -> HttpResponse:
    """To the only organization, or to the choice."""
    mine = list(_mine(request)[:2])
    if len(mine) == 1:
        return redirect("organization", organization=mine[0].slug)
    return redirect("organizations")


@login_required
def organizations(request: PersonRequest) -> HttpResponse:
    return render(request, "organizations/choose.html", {"organizations": _mine(request)})


def _mine(request: PersonRequest) -> Any:
    return permissions.organizations_of(request.user).order_by("name")


@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def profile(request: PersonRequest) -> HttpResponse:
    """Name and time zone, the way to another password, where one belongs, and one's tokens."""
    time_zone = time_zones.remembered(request) or "UTC"
    # The form writes into its instance before it knows whether that is valid.
    person = User.objects.get(pk=request.user.pk)
    form = forms.ProfileForm(request.POST or None, instance=person, time_zone=time_zone)
    if request.method == "POST" and form.is_valid():
        if "name" in form.changed_data:
            person.save(update_fields={"name", "updated_at"})
        messages.success(request, "Your profile was saved.")
        answer = redirect("profile")
        time_zones.remember(answer, form.cleaned_data["time_zone"])
        return answer
    return _show_profile(request, form, 422 if form.errors else 200)


def _profile_form(request: PersonRequest) -> forms.ProfileForm:
    zone = time_zones.remembered(request) or "UTC"
    return forms.ProfileForm(instance=request.user, time_zone=zone)


def _show_profile(
    request: PersonRequest, form: forms.ProfileForm, status: int, error: str = ""
) -> HttpResponse:
    memberships = Membership.objects.filter(user=request.user).select_related("organization")
    return render(
        request,
        "accounts/profile.html",
        {
            "form": form,
            "error": error,
            "memberships": memberships.order_by("organization__name"),
            "access_tokens": AccessToken.objects.filter(user=request.user),
        },
        status=status,
    )


@login_required
@require_POST
def leave(request: PersonRequest, membership: str) -> HttpResponse:
    """End one's own membership, whatever the role allows besides."""
    key = ulid.parse_or_none(membership) or ulid.NIL
    mine = Membership.objects.filter(user=request.user).select_related("organization")
    found = mine.filter(pk=key).first()
    if found is None:
        raise Http404("You are not a member of this organization.")
    name, error = found.organization.name, ""
    count = 0
    if not request.POST.get("sure"):
        error = f"Tick the box to confirm that you leave {isolated(name)}."
    else:
        try:
            count = leaving.remove(found, KeysOfLeaver.HAND_OVER)
        except ValidationError as refused:
            error = f"{isolated(name)}: {' '.join(refused.messages)}"
    if error:
        return _show_profile(request, _profile_form(request), 422, error)
    keys = f" The {count} API keys you made are an owner's now." if count else ""
    messages.success(request, f"You left {isolated(name)}.{keys}")
    return redirect("profile")


@never_cache
@login_required
@require_http_methods(["GET", "HEAD", "POST"])
def create_access_token(request: PersonRequest) -> HttpResponse:
    form = AccessTokenForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        given = form.cleaned_data
        issued = form.attempt(
            request,
            lambda: access_tokens.create(request.user, given["name"], expires_at=form.expires_at),
        )
        if issued is not None:
            # Shown in this answer and kept nowhere: no redirect, no session, no message.
            return render(request, "accounts/access_token.html", {"issued": issued}, status=201)
    return render(
        request,
        "accounts/create_access_token.html",
        {"form": form},
        status=422 if form.errors else 200,
    )


@login_required
@require_POST
def revoke_access_token(request: PersonRequest, access_token: str) -> HttpResponse:
    key = ulid.parse_or_none(access_token) or ulid.NIL
    found = AccessToken.objects.filter(user=request.user, pk=key).first()
    if found is None:
        raise Http404("You have no access token with this id.")
    if not request.POST.get("sure"):
        error = f"Tick the box to confirm that {isolated(found.name)} stops working."
        return _show_profile(request, _profile_form(request), 422, error)
    access_tokens.revoke(found)
    messages.success(request, f"The access token {isolated(found.name)} was revoked.")
    return redirect("profile")


@never_cache
@csrf_protect
@require_http_methods(["GET", "HEAD", "POST"])
def invitation(request: HttpRequest, token: str) -> HttpResponseBase:
    """Join by the link of an invitation: with one's account, or by making one."""
    found = members.find_invitation(token)
    if found is None or not found.is_open:
        return _not_open(request, found)
    if request.user.is_authenticated and request.user.canonical_email != found.canonical_email:
        return render(request, "accounts/invitation_of_another.html", {"invitation": found})
    has_account = User.objects.with_email(found.email) is not None
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


def _not_open(request: HttpRequest, found: Invitation | None) -> HttpResponse:
    """Say why nobody can join by this link."""
    if found is None:
        heading = "There is no such invitation"
        lead = (
            "It was withdrawn or replaced by a newer one. Look for a newer e-mail, or ask the"
            " person who invited you."
        )
    elif found.accepted_at is not None:
        heading = "This invitation was used"
        lead = f"{found.email} has joined with it. If that is you, sign in."
    else:
        heading = "This invitation has expired"
        lead = "Invitations are valid for a week. Ask the person who invited you for a new one."
    values = {"heading": heading, "lead": lead}
    return render(request, "accounts/message.html", values, status=404)


def _join(request: HttpRequest, found: Any, form: forms.JoinForm | None) -> HttpResponse:
    with transaction.atomic():
        # Before there is an account: of several who use the link at once, one makes it.
        found = members.take(found)
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
