"""An actor as lists show it: never without its kind, as an API key may be called anything."""

from __future__ import annotations

from audit.policy import ActorType
from organizations.labels import isolated

KINDS: dict[str, str] = {
    ActorType.USER: "user",
    ActorType.API_KEY: "API key",
    ActorType.SYSTEM: "system",
    ActorType.ANONYMOUS: "anonymous",
    ActorType.DATABASE: "past the application",
}


def kind_of(actor_type: str, label: str) -> str:
    """The kind to show beside the label; empty where the label is that kind's own."""
    kind = KINDS.get(actor_type, actor_type)
    return "" if kind == label else kind


def described(actor_type: str, label: str) -> str:
    """`ci (API key)`, `olga@example.org (user)`, `system`; `unnamed API key` if it was erased."""
    kind = kind_of(actor_type, label)
    if not label:
        return f"unnamed {kind or actor_type}"
    return f"{isolated(label)} ({kind})" if kind else isolated(label)
