"""What the lower apps and Django announce, and what is recorded of it: the one place that connects.

The mirror of `organizations.signals`, with Django's own signals of signing in.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from typing import Any

from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models import Model
from django.dispatch import receiver
from django.http import HttpRequest
from rest_framework.request import Request

from audit import policy
from audit.capture import refusals, words
from audit.capture.events import TO_EACH_ORGANIZATION, Affected, record, record_each
from audit.context import Actor
from audit.policy import ActorType, Result
from organizations import ulid
from organizations.models import User
from organizations.signals import (
    Act,
    Operation,
    Verb,
    Words,
    access_denied,
    act_begun,
    content_revealed,
    rows_written,
    token_used,
)


@receiver(rows_written)
def say_who_writes(sender: type[Model], operation: Operation, **kwargs: Any) -> Words | None:
    """The database enters what changed; who changes it, the statement has to say."""
    return words.of_write(sender)


@receiver(user_logged_in)
def record_sign_in(request: HttpRequest, user: User, **kwargs: Any) -> None:
    _about_person("sign_in", user, actor=Actor(ActorType.USER, user.pk, user.email))


@receiver(user_logged_out)
def record_sign_out(request: HttpRequest, user: User | None, **kwargs: Any) -> None:
    if user is not None:
        _about_person("sign_out", user)


@receiver(user_login_failed)
def record_failed_sign_in(credentials: dict[str, Any], **kwargs: Any) -> None:
    """The account is named only if it exists: people type passwords where the e-mail belongs."""
    typed = str(credentials.get("username") or credentials.get("email") or "")
    user = User.objects.with_email(typed)
    if user is not None:
        reason = "wrong_password" if user.is_active else "inactive"
        _about_person("sign_in", user, Result.FAILED, reason=reason)
        return
    record(
        "sign_in",
        resource_type="user",
        resource_label="(no such account)",
        organization_id=ulid.NIL,
        result=Result.FAILED,
        reason="unknown_account",
    )


def _about_person(action: str, user: User, result: Result = Result.SUCCESS, **facts: Any) -> None:
    record(
        action,
        resource_type="user",
        resource_id=user.pk,
        resource_label=user.email,
        organization_id=TO_EACH_ORGANIZATION,
        result=result,
        **facts,
    )


@receiver(act_begun)
def check_act(sender: type[Act], act: Act, **kwargs: Any) -> None:
    """A fact that the policy does not know would be lost when the entries are written."""
    policy.check_facts(act.verb, act.facts)


@receiver(content_revealed)
def record_reveal(
    sender: type[Model],
    verb: Verb,
    revealed: Sequence[tuple[Model, Mapping[str, Any]]],
    **kwargs: Any,
) -> None:
    spec = policy.for_model(sender)
    assert isinstance(spec, policy.Resource), f"{sender} is not in the policy"
    record_each(
        verb,
        resource_type=spec.name,
        affected=[
            Affected(instance.pk, str(instance), getattr(instance, spec.organization), facts)
            for instance, facts in revealed
        ],
    )


@receiver(token_used)
def record_use(sender: type[Model], token: Model, is_first: bool, **kwargs: Any) -> None:
    spec = policy.for_model(sender)
    assert isinstance(spec, policy.Resource), f"{sender} is not in the policy"
    record(
        "first_use" if is_first else "new_address",
        resource_type=spec.name,
        resource_id=token.pk,
        resource_label=str(token),
        organization_id=getattr(token, spec.organization) if spec.organization else None,
        person_id=None if spec.organization else getattr(token, spec.person),
    )


@receiver(access_denied)
def collect_refusal(
    request: HttpRequest | Request,
    status: int,
    reason: str,
    organization_id: uuid.UUID | None,
    **kwargs: Any,
) -> None:
    refusals.collect(request, status, reason, organization_id)
