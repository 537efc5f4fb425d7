"""The catalogue: what is recorded, field by field. Everything not listed here is not recorded.

An auditor can read this page. The first part lists the audited rows: for each, the fields whose
values may enter an entry; any other field that changes is named without its values. The second
part lists the tables that are not audited, each with the reason; `manage.py check` and `migrate`
refuse a table that is in neither. The third part lists the actions with the extra facts (context)
that each may carry, and the groups by which they are asked for. The guards in the database and
docs/audit-coverage.md are generated from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any, NamedTuple

from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db.models import Field, Model

from organizations.signals import Operation as Operation
from organizations.signals import Verb


class Severity(StrEnum):
    INFO = "info"
    NOTICE = "notice"
    WARNING = "warning"


class Result(StrEnum):
    SUCCESS = "success"
    DENIED = "denied"
    FAILED = "failed"


class ActorType(StrEnum):
    USER = "user"
    API_KEY = "api_key"
    SYSTEM = "system"
    ANONYMOUS = "anonymous"
    DATABASE = "database"


class Interface(StrEnum):
    WEB = "web"
    API = "api"
    CLI = "cli"
    ADMIN = "admin"
    COMMAND = "command"
    DATABASE = "database"


class NamedChange(NamedTuple):
    """A change of a row that is recorded under a verb's name, while that verb is being done.

    fields: of an UPDATE, the columns that the verb covers. A change of any other column beside
    them is recorded as an update, so nothing is recorded under a milder name than it deserves.
    """

    verb: Verb
    operation: Operation
    fields: tuple[str, ...] = ()


class Use(StrEnum):
    """What the application may do with rows that are not audited."""

    READ = "it reads them, and only the owner's role changes them"
    WRITE = "it changes them"
    REFUSED = "nobody can add or change one, the owner's role included"


@dataclass(frozen=True)
class Exempt:
    """A table whose changes leave no entry. reason: why nothing is hidden by that.

    fixed: columns that a row never changes, as entries of other tables name it by them.
    """

    reason: str
    use: Use = Use.READ
    fixed: tuple[str, ...] = ()


class OcsfClass(StrEnum):
    """The class of the Open Cybersecurity Schema Framework that an entry is exported as."""

    ACCOUNT = "Account Change"
    API = "API Activity"
    AUTHENTICATION = "Authentication"
    ENTITY = "Entity Management"
    GROUP = "Group Management"
    USER_ACCESS = "User Access Management"


class Called(NamedTuple):
    """What people call a type. name: everywhere it is shown; without one, its name in the code.
    also: in questions. typed: after `type:`."""

    name: str = ""
    also: tuple[str, ...] = ()
    typed: tuple[str, ...] = ()


class Sentence(NamedTuple):
    """How an entry of an action reads: the first that fits; without one, "created project my-app".

    text: `[]` is the label, `[part]` one of `parts` of it; `{name}` is another part, a fact, or
        what a field became (`{name.before}`: what it was), and `{name:word}` counts: 3 words. A
        sentence that lacks one of them does not fit.
    where: a field that changed, what it became (`is_active=False`), the result, or `own`: the actor
        is the resource.
    """

    action: str
    text: str
    where: str = ""


class Event(NamedTuple):
    """The class of an action (`*`: of any) in exports for OCSF; without one it is ENTITY."""

    action: str
    ocsf: OcsfClass


@dataclass(frozen=True)
class Resource:
    """An audited model: all that is said of it.

    name: the resource type of its entries; called: what people call it.
    sentences, events: how entries of it read, and are exported as.
    below: columns of what it lies below, the nearest first; own_name: what its label adds to the
        label of that, as a regular expression of its end (nothing: it is called the same).
    parts: the parts of its label, as a regular expression with names; is_path: whether labels of
        others lie below it, as `my-app/production` does below `my-app`.
    recorded: fields whose values enter entries, before and after.
    label: SQL of what the row is called, over the row, `r`, and the rows that `joins` finds for it;
        NULL when a part of a path is missing, for then it is called as it was last.
    organization: the column that names its tenant; empty when the row belongs to a person, whose
        entries then go to each organization that the person is a member of.
    person: the column that names that person.
    silent: fields whose change alone leaves no entry, each for a reason given beside it.
    verbs: the changes that are recorded under a verb's name.
    fixed: further columns that a row never changes, beside its id and the one that names its tenant
        or person: else it could be lent to another for the length of a statement.
    """

    name: str
    model: str
    recorded: tuple[str, ...]
    label: str
    organization: str = "organization_id"
    silent: tuple[str, ...] = ("updated_at",)
    verbs: tuple[NamedChange, ...] = ()
    person: str = "id"
    fixed: tuple[str, ...] = ()
    joins: str = ""
    called: Called = Called()
    below: tuple[str, ...] = ()
    own_name: str = ""
    parts: str = ""
    is_path: bool = False
    sentences: tuple[Sentence, ...] = ()
    events: tuple[Event, ...] = ()

    def model_class(self) -> type[Model]:
        return apps.get_model(self.model)


@dataclass(frozen=True)
class Other:
    """A resource type that is no model; the rest as for Resource."""

    name: str
    called: Called = Called()
    sentences: tuple[Sentence, ...] = ()
    events: tuple[Event, ...] = ()
    parts: str = ""


@dataclass(frozen=True)
class Part:
    """Rows of a link table: not resources themselves but values of a field of one.

    model: the link model, `app.Model.field` for an automatic many-to-many table.
    of: the resource type whose field they are; key: the column holding that resource's id.
    field: the name of that field in entries; value: the column that is listed.
    name: SQL of what the listed value is called, over `v`, its row in the table `names`.
    label, joins, organization: as for Resource, `r` having `key` and `organization` alone.
    concerns: SQL of organizations that a link of a person, `r`, concerns beside the person's own.
    """

    model: str
    of: str
    key: str
    field: str
    value: str
    name: str
    names: str
    label: str
    joins: str
    organization: str = ""
    concerns: str = ""

    def model_class(self) -> type[Model]:
        return model_named(self.model)

    @property
    def name_join(self) -> str:
        """SQL that joins the listed value's row, `v`, to a link, `r`."""
        return f"LEFT JOIN {self.names} v ON v.id = r.{self.value}"


def model_named(name: str) -> type[Model]:
    """The model `app.Model`, or of `app.Model.field` the automatic many-to-many table.

    Raises LookupError when there is none.
    """
    if name.count(".") == 1:
        return apps.get_model(name)
    owner, _, field = name.rpartition(".")
    try:
        through = apps.get_model(owner)._meta.get_field(field).remote_field.through  # type: ignore[union-attr]
    except (FieldDoesNotExist, AttributeError):
        through = None
    if not isinstance(through, type):
        raise LookupError(f"{owner} has no many-to-many field {field!r}")
    return through


_OF_PROJECT = "LEFT JOIN organizations_project p ON p.id = r.project_id"
_OF_TARGET = (
    "LEFT JOIN organizations_target t ON t.id = r.target_id"
    " LEFT JOIN organizations_project p ON p.id = t.project_id"
)
_OF_LEVEL = (
    f"{_OF_PROJECT} LEFT JOIN organizations_target t ON t.id = r.target_id"
    " LEFT JOIN organizations_environment e ON e.id = r.environment_id"
)
_LEVEL = (
    "p.slug || CASE WHEN r.target_id IS NULL THEN '' ELSE '/' || t.slug END"
    " || CASE WHEN r.environment_id IS NULL THEN '' ELSE '/' || e.slug END"
)
_OF_USER = "LEFT JOIN organizations_user u ON u.id = r.user_id"

RESOURCES: tuple[Resource, ...] = (
    Resource(
        "organization",
        "organizations.Organization",
        called=Called(typed=("org",)),
        sentences=(
            Sentence("grant", "gave groups {group_permissions:permission} in []"),
            Sentence("revoke", "took {group_permissions:permission} in [] from groups"),
        ),
        recorded=("name", "slug", "status", "history_retention_days", "member_key_retrieve"),
        label="r.slug",
        organization="id",
    ),
    Resource(
        "user",
        "organizations.User",
        called=Called(also=("account",)),
        sentences=(
            Sentence("grant", "gave {permissions:permission} to []"),
            Sentence("revoke", "took {permissions:permission} from []"),
        ),
        events=(
            Event("sign_in", OcsfClass.AUTHENTICATION),
            Event("sign_out", OcsfClass.AUTHENTICATION),
            Event("grant", OcsfClass.USER_ACCESS),
            Event("revoke", OcsfClass.USER_ACCESS),
            Event("*", OcsfClass.ACCOUNT),
        ),
        recorded=("email", "name", "is_staff", "is_superuser", "is_active"),
        label="r.email",
        organization="",
        # last_login changes at each sign-in, which has an entry of its own.
        silent=("updated_at", "last_login"),
        verbs=(NamedChange(Verb.CHANGE_PASSWORD, Operation.UPDATE, ("password",)),),
    ),
    Resource(
        "membership",
        "organizations.Membership",
        called=Called("member", also=("membership",)),
        sentences=(
            Sentence("join", "joined as {role}", "own"),
            Sentence("join", "joined", "own"),
            Sentence("join", "added the member [] as {role}"),
            Sentence("join", "added the member []"),
            Sentence("leave", "left the organization", "own"),
            Sentence("leave", "removed the member []"),
            Sentence("delete", "removed the member []"),
            Sentence("update", "changed the role of [] from {role.before} to {role}"),
        ),
        # All that changes of one is the role; it makes the user one of the organization's members.
        events=(Event("update", OcsfClass.USER_ACCESS), Event("*", OcsfClass.GROUP)),
        below=("user_id",),
        recorded=("user_id", "role"),
        label="u.email",
        joins=_OF_USER,
        verbs=(
            NamedChange(Verb.JOIN, Operation.INSERT),
            NamedChange(Verb.LEAVE, Operation.DELETE),
        ),
        fixed=("user_id",),
    ),
    Resource(
        "invitation",
        "organizations.Invitation",
        sentences=(
            Sentence("invite", "invited [] as {role}"),
            Sentence("invite", "invited []"),
            Sentence("update", "accepted the invitation of []", "accepted_at"),
            Sentence("delete", "withdrew the invitation of []"),
        ),
        recorded=("email", "role", "expires_at", "accepted_at"),
        label="r.email",
        verbs=(
            NamedChange(Verb.INVITE, Operation.INSERT),
            NamedChange(
                Verb.INVITE, Operation.UPDATE, ("role", "invited_by_id", "token_hash", "expires_at")
            ),
        ),
    ),
    Resource(
        "project",
        "organizations.Project",
        is_path=True,
        recorded=(
            "name",
            "slug",
            "description",
            "secret_format",
            "storage_mode",
            "history_policy",
            "secret_versioning",
            "history_retention_days",
            "strict_encryption",
        ),
        label="r.slug",
        verbs=(NamedChange(Verb.SWITCH_CUSTODY, Operation.UPDATE, ("storage_mode",)),),
    ),
    Resource(
        "target",
        "organizations.Target",
        is_path=True,
        below=("project_id",),
        own_name="/[^/]+$",
        recorded=("project_id", "name", "slug", "description"),
        label="p.slug || '/' || r.slug",
        joins=_OF_PROJECT,
    ),
    Resource(
        "environment",
        "organizations.Environment",
        called=Called(typed=("env",)),
        is_path=True,
        below=("target_id",),
        own_name="/[^/]+$",
        recorded=("target_id", "name", "slug", "description", "status", "is_production"),
        label="p.slug || '/' || t.slug || '/' || r.slug",
        joins=_OF_TARGET,
    ),
    Resource(
        "key_version",
        "keys.KeyVersion",
        called=Called("encryption key", also=("key",)),
        parts=r"(?P<project>.+)/encryption-key/(?P<version>\d+)",
        sentences=(
            Sentence("create", "created the key of [project], version {version}"),
            Sentence("rotate", "rotated the key of [project] to version {version}"),
            Sentence(
                "update", "retired version {version} of the key of [project]", "is_active=False"
            ),
            Sentence("retrieve", "retrieved the key of [project], version {version}"),
            Sentence("delete", "deleted version {version} of the key of [project]"),
            Sentence("rewrap", "re-wrapped version {version} of the key of [project]"),
        ),
        below=("project_id",),
        own_name="/encryption-key/[0-9]+$",
        recorded=(
            "project_id",
            "version",
            "managed",
            "is_active",
            "master_key_version",
            "key_hint",
            "history_policy",
            "rotated_at",
        ),
        label="p.slug || '/encryption-key/' || r.version::text",
        joins=_OF_PROJECT,
        verbs=(
            NamedChange(Verb.ROTATE, Operation.INSERT),
            NamedChange(
                Verb.REWRAP,
                Operation.UPDATE,
                ("wrapped_key", "wrapped_key_check", "master_key_version"),
            ),
            NamedChange(
                Verb.SWITCH_CUSTODY,
                Operation.UPDATE,
                ("managed", "wrapped_key", "wrapped_key_check", "master_key_version"),
            ),
        ),
    ),
    Resource(
        "secret",
        "keys.Secret",
        sentences=(
            Sentence("create", "stored the first secret of []"),
            Sentence("update", "stored a new secret of []"),
            Sentence("delete", "deleted the secret of []"),
            Sentence("read", "read the secret of []"),
            Sentence("decrypt", "had the server decrypt the secret of []"),
            Sentence("rotate", "re-encrypted the secret of [] under key {key_version}"),
            Sentence("restore", "restored the secret of [] from version {version}"),
        ),
        below=("environment_id", "target_id", "project_id"),
        recorded=("project_id", "target_id", "environment_id", "key_version", "size_bytes"),
        label=_LEVEL,
        joins=_OF_LEVEL,
        verbs=(
            NamedChange(Verb.RESTORE, Operation.INSERT),
            NamedChange(Verb.RESTORE, Operation.UPDATE, ("content", "size_bytes", "key_version")),
            NamedChange(Verb.ROTATE, Operation.UPDATE, ("content", "size_bytes", "key_version")),
        ),
    ),
    Resource(
        "secret_version",
        "keys.SecretVersion",
        called=Called(also=("secret",)),
        parts=r"(?P<level>.+)#(?P<number>\d+)",
        sentences=(
            Sentence("create", "kept version {number} of [level]"),
            Sentence("rotate", "kept version {number} of [level] before the rotation"),
            Sentence("restore", "kept version {number} of [level] before restoring"),
            Sentence(
                "re_encrypt", "re-encrypted version {number} of [level] under key {key_version}"
            ),
            Sentence("read", "read version {number} of [level]"),
            Sentence("decrypt", "had the server decrypt version {number} of [level]"),
            Sentence("delete", "deleted version {number} of [level]"),
            Sentence("purge", "purged version {number} of [level]"),
        ),
        below=("environment_id", "target_id", "project_id"),
        own_name="#[0-9]+$",
        recorded=(
            "project_id",
            "target_id",
            "environment_id",
            "action",
            "key_version",
            "size_bytes",
        ),
        label=f"{_LEVEL} || '#' || r.number::text",
        joins=_OF_LEVEL,
        # When it was moved to another key has an entry of its own.
        silent=("updated_at", "re_encrypted_at"),
        verbs=(
            NamedChange(Verb.PURGE, Operation.DELETE),
            NamedChange(Verb.RESTORE, Operation.INSERT),
            NamedChange(Verb.ROTATE, Operation.INSERT),
            NamedChange(
                Verb.RE_ENCRYPT, Operation.UPDATE, ("content", "size_bytes", "key_version")
            ),
        ),
    ),
    Resource(
        "api_key",
        "keys.ApiKey",
        called=Called("API key", also=("key",), typed=("apikey",)),
        recorded=("name", "abilities", "scopes", "inherit_parents", "expires_at", "rotated_at"),
        label="r.name",
        # The entries themselves record where and when a key was last used.
        silent=("updated_at", "last_used_at", "last_used_ip", "seen_from"),
        verbs=(
            NamedChange(
                Verb.ROTATE, Operation.UPDATE, ("token_hash", "rotated_at", "rotated_by_id")
            ),
        ),
    ),
    Resource(
        "access_token",
        "keys.AccessToken",
        called=Called(typed=("token",)),
        recorded=("user_id", "name", "expires_at"),
        label="r.name",
        organization="",
        person="user_id",
        silent=("updated_at", "last_used_at", "last_used_ip", "seen_from"),
    ),
    Resource(
        "saved_view",
        "audit.SavedView",
        # Not the question: people may have typed anything into its words.
        recorded=("user_id", "name", "is_shared"),
        label="r.name",
        fixed=("user_id",),
    ),
    Resource(
        "witness",
        "audit.Witness",
        sentences=(
            Sentence("create", "added the witness [] of the log"),
            Sentence("delete", "removed the witness [] of the log"),
        ),
        recorded=("name", "vkey", "url"),
        label="r.name",
    ),
)

OTHERS: tuple[Other, ...] = (
    Other(
        "audit_log",
        called=Called(also=("log",)),
        sentences=(
            Sentence("view", "viewed the log of []"),
            Sentence("verify", "found entry {number} of the log of [] altered", "failed"),
            Sentence("verify", "found the evidence of [] damaged: {found}", "failed"),
            Sentence("verify", "checked {count:entry} against their evidence"),
            Sentence("erase", "erased {parts} of {count:entry} of the log of []"),
            Sentence("fork", "signed the log of [] on as fork {number}: it had been set back"),
            Sentence("evidence_began", "began the evidence of a log of {size:entry}"),
            Sentence("export", "exported the log of [] as {format}"),
            Sentence("export", "exported the log of []"),
            Sentence(
                "end_export",
                "received at most {count:entry} of the log of [] as {format},"
                " then the export was interrupted",
                "failed",
            ),
            Sentence("end_export", "received {count:entry} of the log of [] as {format}"),
        ),
    ),
    Other("signing_key", called=Called("signing key", also=("key",))),
    Other("endpoint", events=(Event("*", OcsfClass.API),)),
)
"""What else entries are about: the log itself, and requests that were refused."""

PARTS: tuple[Part, ...] = (
    Part(
        "organizations.OrganizationUserObjectPermission",
        of="user",
        key="user_id",
        field="permissions",
        value="permission_id",
        name="v.codename",
        names="auth_permission",
        label="u.email",
        joins=_OF_USER,
        organization="content_object_id",
    ),
    Part(
        "organizations.OrganizationGroupObjectPermission",
        of="organization",
        key="content_object_id",
        field="group_permissions",
        value="permission_id",
        name="(SELECT g.name FROM auth_group g WHERE g.id = r.group_id) || ': ' || v.codename",
        names="auth_permission",
        label="t.slug",
        joins="LEFT JOIN organizations_organization t ON t.id = r.content_object_id",
        organization="content_object_id",
    ),
    Part(
        "organizations.User.groups",
        of="user",
        key="user_id",
        field="groups",
        value="group_id",
        name="v.name",
        names="auth_group",
        label="u.email",
        joins=_OF_USER,
        # Whoever joins a group may do something wherever the group may, a member there or not.
        concerns=(
            "SELECT p.content_object_id FROM organizations_organizationgroupobjectpermission p"
            " WHERE p.group_id = r.group_id"
        ),
    ),
    Part(
        "organizations.User.user_permissions",
        of="user",
        key="user_id",
        field="user_permissions",
        value="permission_id",
        name="v.codename",
        names="auth_permission",
        label="u.email",
        joins=_OF_USER,
    ),
)

UNAUDITED: dict[str, Exempt] = {
    "audit.Entry": Exempt("the log itself"),
    "auth.Permission": Exempt("what permissions are called; written by migrate"),
    "auth.Group": Exempt(
        "a group's name, which never changes; who is in it and what it may do are entered, each by"
        " that name",
        Use.WRITE,
        fixed=("id", "name"),
    ),
    "auth.Group.permissions": Exempt(
        "would hold for the whole site, where nothing asks it", Use.REFUSED
    ),
    "guardian.UserObjectPermission": Exempt(
        "permissions have a table for each kind of object instead", Use.REFUSED
    ),
    "guardian.GroupObjectPermission": Exempt(
        "permissions have a table for each kind of object instead", Use.REFUSED
    ),
    "admin.LogEntry": Exempt(
        "Django's own list of what the admin changed; each change has an entry", Use.WRITE
    ),
    "contenttypes.ContentType": Exempt("names of models; written by migrate"),
    "sessions.Session": Exempt(
        "who is signed in, encrypted; signing in and out have entries", Use.WRITE
    ),
    "django_migrations": Exempt("which migrations have run; written by migrate"),
    "keys.FormerToken": Exempt(
        "hashes of tokens that API keys had; that they ended, and who tries them, has an entry",
        Use.WRITE,
    ),
    "keys_numbering": Exempt(
        "the last number of a secret version; each version has an entry", Use.WRITE
    ),
    "organizations_limit": Exempt(
        "counts requests by the minute; what is refused has an entry", Use.WRITE
    ),
}
"""Every other table: of a model by its label, of SQL in a migration by its name."""


@dataclass(frozen=True)
class Action:
    """A word of the catalogue; `context` lists the facts its entries may carry."""

    name: str
    label: str
    severity: Severity = Severity.INFO
    context: tuple[str, ...] = ()


ACTIONS: tuple[Action, ...] = (
    Action("create", "created", context=("plaintext_upload", "legacy_derivation")),
    Action("update", "updated", context=("plaintext_upload", "legacy_derivation", "no_backup")),
    Action("delete", "deleted", Severity.WARNING, ("no_backup", "api_keys", "count", "heir")),
    Action("restore", "restored", Severity.NOTICE, ("version", "legacy_derivation")),
    Action("purge", "purged", Severity.WARNING),
    Action("grant", "granted permissions to", Severity.NOTICE),
    Action("revoke", "revoked permissions from", Severity.NOTICE),
    Action(
        "rotate",
        "rotated",
        Severity.NOTICE,
        ("key_version", "history_policy", "count", "old_vkey", "new_vkey"),
    ),
    Action("rewrap", "re-wrapped", Severity.NOTICE, ("master_key_version",)),
    Action("re_encrypt", "re-encrypted", context=("key_version",)),
    Action("switch_custody", "switched the custody of", Severity.WARNING, ("key_version",)),
    Action("retrieve", "retrieved", Severity.NOTICE, ("key_version",)),
    Action("read", "read", context=("key_version", "size")),
    Action("decrypt", "decrypted", Severity.NOTICE, ("key_version", "size")),
    Action("first_use", "first used", Severity.NOTICE),
    Action("new_address", "used from a new address", Severity.NOTICE),
    Action("sign_in", "signed in"),
    Action("sign_out", "signed out"),
    Action("change_password", "changed the password of", Severity.NOTICE),
    Action("reset_password", "asked to reset the password of", Severity.NOTICE),
    Action("invite", "invited", Severity.NOTICE),
    Action("join", "joined as", Severity.NOTICE),
    Action("leave", "left", Severity.NOTICE, ("api_keys", "count", "heir")),
    Action("access", "was denied", Severity.WARNING, ("status", "named")),
    Action("view", "viewed", context=("filters", "entry")),
    Action("export", "exported", Severity.NOTICE, ("filters", "format", "redacted")),
    Action("end_export", "ended an export of", context=("format", "count", "size", "root")),
    Action("verify", "verified", context=("number", "count", "found")),
    Action("seal", "sealed"),
    Action("evidence_began", "began evidence of", Severity.NOTICE, ("size", "root")),
    Action(
        "erase", "erased parts of", Severity.WARNING, ("parts", "numbers", "count", "requested_by")
    ),
    Action("fork", "forked", Severity.WARNING, ("number", "last", "common", "requested_by")),
    Action("hold", "placed a legal hold on", Severity.NOTICE, ("requested_by",)),
    Action("lift_hold", "lifted the legal hold on", Severity.WARNING, ("requested_by",)),
    Action(
        "remove",
        "removed under retention from",
        Severity.NOTICE,
        ("since", "until", "count", "kept", "numbers", "organizations", "manifest"),
    ),
    Action("drop", "dropped what was removed from", Severity.NOTICE, ("count", "manifest")),
)


class Deeds(NamedTuple):
    """Actions of a group; with types, only on resources of these."""

    actions: tuple[str, ...]
    types: tuple[str, ...] = ()


@dataclass(frozen=True)
class ActionGroup:
    """Actions that are asked for together, by a name that can be used wherever an action can.

    about: what they have in common, for people to read.
    """

    name: str
    label: str
    about: str
    deeds: tuple[Deeds, ...]

    @property
    def actions(self) -> tuple[str, ...]:
        """Every action of which some entry may be in it."""
        return tuple(dict.fromkeys(name for deeds in self.deeds for name in deeds.actions))


_ACCESS = (
    Deeds(("grant", "revoke", "invite", "join", "leave")),
    # The role is all that changes of a membership.
    Deeds(("create", "update", "delete"), ("membership", "invitation")),
)
_CREDENTIALS = (
    Deeds(("change_password", "reset_password", "rewrap", "switch_custody")),
    # Of a secret, a rotation re-encrypts what is kept.
    Deeds(
        ("create", "update", "delete", "rotate"),
        ("api_key", "access_token", "key_version"),
    ),
)

ACTION_GROUPS: tuple[ActionGroup, ...] = (
    ActionGroup(
        "changes",
        "changes",
        "something is different since",
        (
            Deeds(
                (
                    *("create", "update", "delete", "restore", "purge", "grant", "revoke"),
                    *("rotate", "rewrap", "re_encrypt", "switch_custody", "change_password"),
                    *("reset_password", "invite", "join", "leave"),
                    *("hold", "lift_hold", "remove", "drop", "seal", "evidence_began"),
                    *("erase", "fork"),
                )
            ),
        ),
    ),
    ActionGroup(
        "looks",
        "looks",
        "something was seen, used or tried, and nothing is different",
        (
            Deeds(
                (
                    *("read", "decrypt", "retrieve", "view", "export", "end_export", "verify"),
                    *("sign_in", "sign_out", "first_use", "new_address", "access"),
                )
            ),
        ),
    ),
    ActionGroup(
        "access_changes",
        "access changes",
        "who may do what: permissions, invitations, members and their roles",
        _ACCESS,
    ),
    ActionGroup(
        "credential_changes",
        "credential changes",
        "passwords, keys and tokens",
        _CREDENTIALS,
    ),
    ActionGroup(
        "security_changes",
        "security changes",
        "access and credentials, settings of the organization and of accounts, legal holds and"
        " retention",
        (
            *_ACCESS,
            *_CREDENTIALS,
            Deeds(("hold", "lift_hold", "remove", "drop", "erase", "fork")),
            Deeds(("create", "update", "delete"), ("organization", "user")),
        ),
    ),
)
"""Every action is in `changes` or in `looks`; a system check says so."""

ALWAYS_ALLOWED = ("command", "access_token", "reason", "repeats")
"""Context that any entry may carry: the client or management command, the id of the token by which
a person called, why a thing was refused (a code of ours) or done (a reason given in SQL), and how
often more it happened in that minute."""

_ACTIONS = {action.name: action for action in ACTIONS}
_RESOURCES = {resource.name: resource for resource in RESOURCES}
_GROUPS = {group.name: group for group in ACTION_GROUPS}

AUDITED: tuple[Resource | Part, ...] = (*RESOURCES, *PARTS)
"""Every table whose changes the database enters."""

_TYPES: tuple[Resource | Other, ...] = (*RESOURCES, *OTHERS)
TYPES = {spec.name: spec for spec in _TYPES}
"""What entries may be about, by name."""

PATH_TYPES = frozenset(
    {
        "organization",
        "project",
        "target",
        "environment",
        "key_version",
        "secret",
        "secret_version",
    }
)
"""Types whose label is a path: it is in the leaves of the evidence and never erased, where the
labels of all other types can be. Fixed: another list is another version of the leaf."""

PART_NAMES = ("actor", "origin", "resource", "detail")
"""The parts of an entry that can be erased, or withheld in a pack: who acted by name, from where,
what it is about by name, and what changed. Fixed, as PATH_TYPES."""

KEPT_DETAILS = frozenset({"erase", "evidence_began", "fork", "export", "remove"})
"""Actions whose detail cannot be erased or withheld, and besides them rotations of signing keys:
without it, nobody could tell what is missing elsewhere, and why."""


def keeps_detail(action_name: str, resource_type: str) -> bool:
    return action_name in KEPT_DETAILS or (action_name, resource_type) == ("rotate", "signing_key")


RESOURCE_TYPES: dict[str, str] = {
    name: spec.called.name or name.replace("_", " ") for name, spec in TYPES.items()
}
"""Every resource type with the words people use for it."""


def spoken_types() -> dict[str, tuple[str, ...]]:
    """What people call types in questions, in lower case: the types that each word stands for."""
    found: dict[str, tuple[str, ...]] = {}
    for name, spec in TYPES.items():
        for word in (RESOURCE_TYPES[name].lower(), *spec.called.also):
            found[word] = (*found.get(word, ()), name)
    return found


def type_aliases() -> dict[str, str]:
    """What a type may be called after `type:` besides its name."""
    found: dict[str, str] = {}
    for word, names in spoken_types().items():
        for form in (word.replace(" ", "_"), word.replace(" ", "-")):
            found.setdefault(form, names[0])
    for name, spec in TYPES.items():
        found.update(dict.fromkeys(spec.called.typed, name))
        found.setdefault(name.replace("_", "-"), name)
    return {form: name for form, name in found.items() if form not in TYPES}


RESULT_ALIASES = {"refused": "denied", "failure": "failed", "succeeded": "success"}
INTERFACE_ALIASES = {"browser": "web", "command_line": "cli", "psql": "database"}
"""What pages call some results and interfaces; good for asking too."""


def action_aliases() -> dict[str, str]:
    """What pages call the actions, as words that can be asked for: `deleted`, `signed_in`."""
    words = {action.label.replace(" ", "_").replace("-", "_"): action.name for action in ACTIONS}
    return {word: name for word, name in words.items() if word not in _ACTIONS}


def action(name: str) -> Action | None:
    """The action called `name`, or None: an unknown word in the table reads as unknown."""
    return _ACTIONS.get(name)


def action_group(name: str) -> ActionGroup | None:
    return _GROUPS.get(name)


def recorded_fields() -> frozenset[str]:
    """Every field whose values may be in some entry, as entries call it."""
    return frozenset(
        [column for spec in RESOURCES for column in recorded_columns(spec)]
        + [part.field for part in PARTS]
    )


def resource(name: str) -> Resource | None:
    return _RESOURCES.get(name)


@cache
def _by_model() -> dict[type[Model], Resource | Part]:
    return {spec.model_class(): spec for spec in AUDITED}


def columns(model: type[Model]) -> dict[str, Field[Any, Any]]:
    """The columns of a model's table."""
    return {str(field.column): field for field in model._meta.concrete_fields}


def recorded_columns(spec: Resource) -> list[str]:
    """The columns behind `spec.recorded`."""
    meta = spec.model_class()._meta
    return [str(meta.get_field(name).column) for name in spec.recorded]  # type: ignore[union-attr]


def exempt_tables() -> dict[str, Exempt]:
    """Tables that are not audited, each with the reason."""
    return {
        model_named(name)._meta.db_table if "." in name else name: exempt
        for name, exempt in UNAUDITED.items()
    }


def for_model(model: type[Model]) -> Resource | Part | None:
    """How rows of `model` are audited, or None when they are not. Rows of a proxy are those of the
    model behind it."""
    return _by_model().get(model._meta.concrete_model or model)


def check_type(name: str) -> None:
    """Raise ValueError for a resource type that is not listed, of which no entry can be."""
    if name not in TYPES:
        raise ValueError(f"'{name}' is not a resource type of audit/policy.py")


def actions_of(spec: Resource, operation: Operation) -> list[str]:
    """Every action under which `operation` on a row may be recorded."""
    verbs = sorted(named.verb.value for named in spec.verbs if named.operation is operation)
    return [operation.value, *verbs]


def checked_context(action_name: str, facts: Mapping[str, object]) -> dict[str, object]:
    """`facts` as an entry of this action carries them, without those that are None.

    Raises ValueError for one that it may not carry, which would be lost in silence, and for an
    action that is not listed, which would be shown as unknown.
    """
    known = _ACTIONS.get(action_name)
    if known is None:
        raise ValueError(f"'{action_name}' is not an action of audit/policy.py")
    _refuse_unknown(action_name, facts, (*known.context, *ALWAYS_ALLOWED))
    return {name: value for name, value in facts.items() if value is not None}


def check_facts(verb: Verb, facts: Mapping[str, object]) -> None:
    """Raise ValueError for a fact that no entry of an act of `verb` may carry: the triggers take
    those of its action alone. A verb that is no action, such as `store`, is recorded as creates,
    updates and deletes."""
    names = [verb.value] if verb.value in _ACTIONS else [operation.value for operation in Operation]
    _refuse_unknown(verb, facts, [fact for name in names for fact in _ACTIONS[name].context])


def _refuse_unknown(of: str, facts: Mapping[str, object], allowed: Sequence[str]) -> None:
    unknown = sorted(facts.keys() - {*allowed})
    if unknown:
        raise ValueError(
            f"an entry of '{of}' cannot carry {', '.join(unknown)}; audit/policy.py lists what it"
            " can"
        )
