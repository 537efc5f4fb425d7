"""The words of the question bar, and the parameters of `audit.questions.filters` that they mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from audit import policy
from audit.questions.filters import POSITION, EntryFilter

KEYWORDS: dict[str, str] = {
    name: name
    for name in EntryFilter.base_filters
    if name not in (*POSITION, "tz") and not name.startswith("exclude_")
} | {
    "by": "actor",
    "who": "actor",
    "user": "actor",
    "did": "action",
    "kind": "actor_type",
    "path": "resource",
    "from": "ip",
    "via": "interface",
    "changed": "field",
    "during": "when",
}
"""What may stand before a colon, and the parameter that it means."""

CHANGES = (
    "create",
    "update",
    "delete",
    "grant",
    "revoke",
    "rotate",
    "rewrap",
    "re_encrypt",
    "switch_custody",
    "restore",
    "purge",
    "change_password",
    "invite",
    "join",
    "leave",
    "hold",
    "lift_hold",
    "remove",
    "drop",
)
"""What "what changed?" asks for: everything that is more than looking."""

LOOKS = ("read", "decrypt", "retrieve", "view")
"""What "who read it?" asks for: secrets are decrypted, keys retrieved, the log is viewed."""

_VERBS: tuple[tuple[str, str, str, Mapping[str, Sequence[str]]], ...] = (
    ("created, made", "create, make", "creation", {"action": ["create"]}),
    ("updated, edited", "update, edit", "update", {"action": ["update"]}),
    ("deleted, removed", "delete, remove", "deletion, removal", {"action": ["delete"]}),
    ("renamed", "rename", "renaming", {"action": ["update"], "field": ["name", "slug"]}),
    ("changed", "change", "change", {"action": CHANGES}),
    ("granted", "grant", "", {"action": ["grant"]}),
    ("revoked", "revoke", "", {"action": ["revoke"]}),
    ("rotated", "rotate", "rotation", {"action": ["rotate"]}),
    ("re-encrypted", "re-encrypt", "re-encryption", {"action": ["re_encrypt"]}),
    ("retrieved, fetched", "retrieve, fetch", "retrieval", {"action": ["retrieve"]}),
    ("read, saw, seen, viewed, accessed", "read, see, view, access", "", {"action": LOOKS}),
    ("decrypted", "decrypt", "decryption", {"action": ["decrypt"]}),
    ("restored", "restore", "restoration", {"action": ["restore"]}),
    ("purged", "purge", "purge", {"action": ["purge"]}),
    ("invited", "invite", "invitation", {"action": ["invite"]}),
    ("joined", "join", "", {"action": ["join"]}),
    ("left", "leave", "", {"action": ["leave"]}),
    ("exported", "export", "export", {"action": ["export"]}),
    (
        "signed in, logged in",
        "sign in, log in",
        "sign-in, signin, login, log-in",
        {"action": ["sign_in"], "result": ["success"]},
    ),
    (
        "signed out, logged out",
        "sign out, log out",
        "sign-out, signout, logout, log-out",
        {"action": ["sign_out"]},
    ),
    ("failed", "fail", "failure", {"result": ["failed"]}),
    ("denied, refused", "", "denial, refusal", {"result": ["denied"]}),
)
"""Of each deed: "who deleted", "did she delete", "the last deletion"; and what to ask for."""


def _by_word(place: int) -> dict[str, Mapping[str, Sequence[str]]]:
    return {word: row[3] for row in _VERBS for word in str(row[place]).split(", ") if word}


DONE = _by_word(0)
DO = _by_word(1)
NOUNS = {
    # Who signed in was let in; a sign-in may be any attempt.
    form: {name: params[name] for name in params if name != "result" or "action" not in params}
    for noun, params in _by_word(2).items()
    for form in (noun, f"{noun}s")
    if noun != "invitation"  # which is a thing as well
}

TYPES: dict[str, Sequence[str]] = {
    form: types for word, types in policy.spoken_types().items() for form in (word, f"{word}s")
}

INTERFACES = {
    "web": "web",
    "browser": "web",
    "api": "api",
    "cli": "cli",
    "command line": "cli",
    "admin": "admin",
    "database": "database",
    "psql": "database",
}

PHRASES: dict[str, Mapping[str, Sequence[str]]] = (
    {
        word: params
        for word, params in DONE.items()
        if word not in ("read", "saw", "seen", "revoked")
    }
    | {word: params for word, params in NOUNS.items() if "-" in word or word.startswith("log")}
    | {
        word: {"type": types}
        for word, types in TYPES.items()
        # These may as well be a part of a name.
        if word.rstrip("s") not in ("user", "account", "organization", "log") and word != "key"
    }
)
"""Words that mean one thing wherever they stand."""

FILLERS = frozenset(
    [
        "a",
        "all",
        "an",
        "any",
        "anybody",
        "anyone",
        "anything",
        "are",
        "at",
        "been",
        "did",
        "do",
        "does",
        "everything",
        "had",
        "has",
        "have",
        "how",
        "i",
        "in",
        "is",
        "last",
        "many",
        "me",
        "of",
        "often",
        "on",
        "show",
        "somebody",
        "someone",
        "something",
        "that",
        "the",
        "there",
        "these",
        "those",
        "times",
        "to",
        "was",
        "were",
        "what",
        "when",
        "where",
        "which",
        "who",
        "whom",
        "with",
    ]
)
"""Words of a spoken question that say nothing to a filter. In quotes they are text like others."""

_NOT = (
    "the log shows what happened, not what did not happen; exclude with -actor:jane or not by jane"
)
UNANSWERABLE = {
    **dict.fromkeys(
        ("never", "not", "nobody", "without", "except", "no", "didn't", "wasn't"), _NOT
    ),
    **dict.fromkeys(
        ("can", "could", "may", "should", "will"),
        "the log shows what was done; the pages Members and API keys show who may do what",
    ),
    "why": "entries show who, what, when and from where; a reason, if one was given, is in the"
    " entry",
    "first": "entries are listed newest first; the first one is at the end of the last page",
}
"""Words that change what is asked in a way that no filter can; said rather than dropped."""

LABELS = {
    "actor": "by",
    "actor_type": "kind of actor",
    "action": "action",
    "type": "type",
    "resource": "resource",
    "result": "result",
    "ip": "from",
    "request": "request",
    "interface": "via",
    "field": "changed field",
    "q": "name contains",
    "severity": "severity",
    "reason": "reason",
    "user_agent": "program",
    "became": "became",
    "was": "was",
    "hours": "hours",
    "days": "days",
    "actor_role": "role",
    "id": "id",
    "views": "views of the log",
    "order": "order",
    "limit": "only the first",
}
"""How a parameter is called in what was understood."""
