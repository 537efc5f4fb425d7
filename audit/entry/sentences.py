"""An entry in words: "rotated the key of storefront to version 5"."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import NamedTuple

from audit.models import Entry
from audit.policy import Result


class Phrase(NamedTuple):
    """What somebody did, without who: words before the name of the thing, the name, words after.

    All of it is text as it was recorded, to be escaped where it is shown.
    """

    before: str
    name: str = ""
    after: str = ""

    def __str__(self) -> str:
        return f"{self.before} {self.name}{self.after}".strip()


def phrase(entry: Entry) -> Phrase:
    """What the entry tells. What was refused or failed is told as an attempt."""
    if entry.result != Result.SUCCESS and entry.action != "end_export":
        return _attempt(entry)
    special = _SPECIAL.get((entry.action, entry.resource_type))
    return (special(entry) if special else None) or _plain(entry)


def as_words(name: str) -> str:
    """A name of the code as people write it: key version."""
    return name.replace("_", " ")


def verb(entry: Entry) -> str:
    """What was done, or tried, whatever it was done to."""
    if entry.result == Result.SUCCESS or entry.action in ("access", "end_export"):
        return entry.action_label
    return f"tried to {as_words(entry.action)}"


def _plain(entry: Entry) -> Phrase:
    if _is_about_actor(entry):
        return Phrase(verb(entry))
    return Phrase(f"{verb(entry)} {entry.resource_type_label}", entry.resource_label)


_attempt = _plain


def _is_about_actor(entry: Entry) -> bool:
    """Whether the verb says it all: somebody signed in."""
    return entry.action in ("sign_in", "sign_out") and entry.resource_id == entry.actor_id


def _is_actor_s_own(entry: Entry) -> bool:
    return entry.actor_label == entry.resource_label


# -- Special forms; None where what they need is not in the entry


def _change(entry: Entry, field: str) -> tuple[str, str] | None:
    pair = entry.recorded_changes.get(field)
    if pair is None:
        return None
    before, after = (str(value) if value not in (None, "") else "" for value in pair)
    return before, after


def _key(entry: Entry) -> tuple[str, str] | None:
    """The project and the version of `storefront/encryption-key/5`."""
    found = re.fullmatch(r"(.+)/encryption-key/(\d+)", entry.resource_label)
    return (found[1], found[2]) if found else None


def _version(entry: Entry) -> tuple[str, str] | None:
    """The level and the number of `storefront/backend#12`."""
    found = re.fullmatch(r"(.+)#(\d+)", entry.resource_label)
    return (found[1], found[2]) if found else None


def _of_key(before: str, after: str) -> Callable[[Entry], Phrase | None]:
    def tell(entry: Entry) -> Phrase | None:
        found = _key(entry)
        return found and Phrase(before.format(found[1]), found[0], after.format(found[1]))

    return tell


def _of_version(before: str, after: str = "") -> Callable[[Entry], Phrase | None]:
    def tell(entry: Entry) -> Phrase | None:
        found = _version(entry)
        key = _fact(entry, "key_version") or (_change(entry, "key_version") or ("", ""))[1]
        if found is None or ("{key}" in after and not key):
            return None
        return Phrase(before.format(found[1]), found[0], after.format(key=key))

    return tell


def _of_secret(before: str, after: str = "") -> Callable[[Entry], Phrase | None]:
    def tell(entry: Entry) -> Phrase | None:
        facts = {name: _fact(entry, name) for name in ("version", "key_version")}
        if any(f"{{{name}}}" in after and not fact for name, fact in facts.items()):
            return None
        return Phrase(before, entry.resource_label, after.format(**facts))

    return tell


def _fact(entry: Entry, name: str) -> str:
    fact = entry.context.get(name)
    return "" if fact is None else str(fact)


def _updated_key(entry: Entry) -> Phrase | None:
    found = _key(entry)
    if found and _change(entry, "is_active") == ("True", "False"):
        return Phrase(f"retired version {found[1]} of the key of", found[0])
    return None


def _joined(entry: Entry) -> Phrase | None:
    role = (_change(entry, "role") or ("", ""))[1]
    as_role = f" as {as_words(role)}" if role else ""
    if _is_actor_s_own(entry):
        return Phrase(f"joined{as_role}")
    return Phrase("added the member", entry.resource_label, as_role)


def _left(entry: Entry) -> Phrase | None:
    if _is_actor_s_own(entry):
        return Phrase("left the organization")
    return Phrase("removed the member", entry.resource_label)


def _new_role(entry: Entry) -> Phrase | None:
    roles = _change(entry, "role")
    if roles is None:
        return None
    return Phrase(
        "changed the role of",
        entry.resource_label,
        f" from {as_words(roles[0])} to {as_words(roles[1])}",
    )


def _invited(entry: Entry) -> Phrase | None:
    role = (_change(entry, "role") or ("", ""))[1]
    return Phrase("invited", entry.resource_label, f" as {as_words(role)}" if role else "")


def _updated_invitation(entry: Entry) -> Phrase | None:
    if "accepted_at" in entry.changes:
        return Phrase("accepted the invitation of", entry.resource_label)
    return None


def _permissions(verb: str, direction: str) -> Callable[[Entry], Phrase | None]:
    def tell(entry: Entry) -> Phrase | None:
        before, after = entry.recorded_changes.get("permissions", (None, None))
        if not isinstance(before, list) or not isinstance(after, list):
            return None
        count = len(set(map(str, before)) ^ set(map(str, after)))
        permissions = "permission" if count == 1 else "permissions"
        return Phrase(f"{verb} {count} {permissions} {direction}", entry.resource_label)

    return tell


def _exported(entry: Entry) -> Phrase | None:
    found = _fact(entry, "format")
    return Phrase("exported the log of", entry.resource_label, f" as {found}" if found else "")


def _ended_export(entry: Entry) -> Phrase | None:
    """Of an export that did not end well, the number is the most that can have left."""
    count = entry.context.get("count")
    if not isinstance(count, int):
        return None
    is_whole = entry.result == Result.SUCCESS
    of = f"{count:,} {'entry' if count == 1 else 'entries'} of the log of"
    after = f" as {_fact(entry, 'format')}" + ("" if is_whole else ", then the export broke off")
    return Phrase(
        f"received {of}" if is_whole else f"received at most {of}", entry.resource_label, after
    )


_SPECIAL: dict[tuple[str, str], Callable[[Entry], Phrase | None]] = {
    ("create", "key_version"): _of_key("created the key of", ", version {}"),
    ("rotate", "key_version"): _of_key("rotated the key of", " to version {}"),
    ("update", "key_version"): _updated_key,
    ("retrieve", "key_version"): _of_key("retrieved the key of", ", version {}"),
    ("delete", "key_version"): _of_key("deleted version {} of the key of", ""),
    ("rewrap", "key_version"): _of_key("re-wrapped version {} of the key of", ""),
    ("create", "secret"): _of_secret("stored the first secret of"),
    ("update", "secret"): _of_secret("stored a new secret of"),
    ("delete", "secret"): _of_secret("deleted the secret of"),
    ("read", "secret"): _of_secret("read the secret of"),
    ("decrypt", "secret"): _of_secret("had the server decrypt the secret of"),
    ("rotate", "secret"): _of_secret("re-encrypted the secret of", " under key {key_version}"),
    ("restore", "secret"): _of_secret("restored the secret of", " from version {version}"),
    ("create", "secret_version"): _of_version("kept version {} of"),
    ("rotate", "secret_version"): _of_version("kept version {} of", " before the rotation"),
    ("restore", "secret_version"): _of_version("kept version {} of", " before restoring"),
    ("re_encrypt", "secret_version"): _of_version("re-encrypted version {} of", " under key {key}"),
    ("read", "secret_version"): _of_version("read version {} of"),
    ("decrypt", "secret_version"): _of_version("had the server decrypt version {} of"),
    ("delete", "secret_version"): _of_version("deleted version {} of"),
    ("purge", "secret_version"): _of_version("purged version {} of"),
    ("join", "membership"): _joined,
    ("leave", "membership"): _left,
    ("delete", "membership"): lambda entry: Phrase("removed the member", entry.resource_label),
    ("update", "membership"): _new_role,
    ("invite", "invitation"): _invited,
    ("update", "invitation"): _updated_invitation,
    ("delete", "invitation"): lambda entry: Phrase(
        "withdrew the invitation of", entry.resource_label
    ),
    ("grant", "user"): _permissions("gave", "to"),
    ("revoke", "user"): _permissions("took", "from"),
    ("view", "audit_log"): lambda entry: Phrase("looked at the log of", entry.resource_label),
    ("export", "audit_log"): _exported,
    ("end_export", "audit_log"): _ended_export,
}
