"""What a write says of itself: who acts, to what end, from where.

The words travel in the statement that writes, as a common table expression that leaves them in a
setting of the transaction, behind the statement's own time. The triggers of the table (`triggers`)
take them from there. They do not say what changed: the database sees that for itself.
"""

from __future__ import annotations

import json
from functools import lru_cache
from typing import Any

from django.db.models import Model

from audit import context, policy
from audit.context import Actor, Origin
from audit.redaction import clean, redact_all
from organizations import clock
from organizations.signals import Words, current_act

_NAME = "audit_act"
_SQL = (
    f"{_NAME} AS MATERIALIZED (SELECT set_config('audit.act',"
    " extract(epoch FROM statement_timestamp())::text || %s::text, true) IS NULL)"
)


def of_write(model: type[Model]) -> Words | None:
    """The words of a write to `model`'s rows that is made now; None if they are not audited."""
    if policy.for_model(model) is None:
        return None
    words = _who(context.actor(), context.origin())
    act = current_act()
    if act is not None:
        words += f',"verb":"{act.verb}"'
        if act.facts:
            words += f',"facts":{_json(redact_all(act.facts))}'
    if clock.is_shifted():
        words += f',"at":"{clock.now().isoformat()}"'
    return Words(_NAME, _SQL, f"{{{words}}}")


@lru_cache(maxsize=256)
def _who(actor: Actor, origin: Origin) -> str:
    """The part that all writes of a request share: members of a JSON object."""
    facts = {"command": origin.command, "access_token": origin.access_token}
    words: dict[str, Any] = {
        "actor_type": actor.type,
        "actor_id": actor.id and str(actor.id),
        "actor_label": clean(actor.label, 254),
        "interface": origin.interface,
        "ip": origin.ip,
        "user_agent": clean(origin.user_agent, 512),
        "request_id": origin.request_id and str(origin.request_id),
        "context": redact_all({name: value for name, value in facts.items() if value}),
    }
    return _json(words)[1:-1]


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
