"""What each route records: the declaration behind docs/audit-coverage.md.

A test makes each request, as someone who may, and fails if the entries differ from those declared
here (`tests/promises/test_measured_coverage.py`).

A route and method of the URL map that is missing here makes `manage.py audit_coverage --check`
fail: a new route is declared here with what it leaves in the log, or why it leaves nothing.
`records` takes "action type" pairs in the words of `audit.policy`; `nothing` takes the reason.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from audit import policy
from audit.coverage.routes import ANY, Route

_FILE = "audit/coverage/declared.py"
_SAY = f"say in {_FILE}"


@dataclass(frozen=True)
class Recorded:
    """entries: (action, resource type) pairs, not all of them each time. note: when, or why not."""

    entries: tuple[tuple[str, str], ...] = ()
    note: str = ""

    @property
    def pairs(self) -> list[str]:
        """As `records` takes them."""
        return [f"{action} {type_name}" for action, type_name in self.entries]

    def __str__(self) -> str:
        listed = ", ".join(self.pairs)
        if not listed:
            return f"nothing: {self.note}"
        return f"{listed} ({self.note})" if self.note else listed


def records(*pairs: str, note: str = "") -> Recorded:
    return Recorded(tuple((p.split(" ")[0], p.split(" ")[1]) for p in pairs), note)


def nothing(reason: str) -> Recorded:
    return Recorded((), reason)


_SETTINGS = nothing("names and settings, no key and no secret")
_SIZES = nothing("names, sizes and key versions of secrets, no content")
_MEMBERS = nothing("names and roles of members")
_FORM = nothing("a form")
_VIEW = records("view audit_log", note="once a minute for the same question")
_EXPORT = records("export audit_log", "end_export audit_log", note="before and after it")
_HASHES = nothing("hashes and the size of the log, no entry")
_TILES = records(
    "view audit_log",
    note="for a bundle of entries, once a minute; hashes alone leave nothing",
)
_HISTORY = nothing("numbers and dates of versions, no key")
_READING = {
    "GET": records("read secret", "decrypt secret", note="committed before the content leaves")
}
_RETRIEVING = {
    "POST": records(
        "read secret",
        "decrypt secret",
        "retrieve key_version",
        note="committed before the content leaves",
    )
}
_REFUSED = records("access endpoint", note="refused")

# Each row leaves its own entry, those below it too.
_DELETE_ENVIRONMENT = records("delete environment", "delete secret", "delete secret_version")
_DELETE_TARGET = records("delete target", *_DELETE_ENVIRONMENT.pairs)
_DELETE_PROJECT = records("delete project", "delete key_version", *_DELETE_TARGET.pairs)
_DELETE_ORGANIZATION = records(
    "delete organization",
    "delete membership",
    "revoke user",
    "revoke organization",
    "delete invitation",
    "delete api_key",
    "delete saved_view",
    "delete witness",
    *_DELETE_PROJECT.pairs,
)


_ROTATED = ("rotate key_version", "update key_version", "rotate secret", "rotate secret_version")
_ROTATE = records(*_ROTATED)
_UPDATE_PROJECT = records("update project")
_UPDATE_TARGET = records("update target")
_UPDATE_ENVIRONMENT = records("update environment")
_UPDATE_API_KEY = records("update api_key")
_UPDATE_ORGANIZATION = records("update organization")
_CHANGE_ROLE = ("update membership", "grant user", "revoke user")
_KEYS_OF_LEAVER = ("update api_key", "delete api_key")
_GONE_MEMBER = ("delete membership", "leave membership", "revoke user")
_RESET = records("reset_password user", note="if the account exists")
_CHANGE_PASSWORD = records("change_password user", "delete access_token")
_SIGN_IN = records("sign_in user", "access endpoint", note="failed ones too; 429 as refused")

_ORGANIZATION = "/api/v1/organizations/{organization}"
_LEGACY = f"{_ORGANIZATION}/projects"
_PROJECT = "/api/v1/{organization}/{project}"
_TARGET = f"{_PROJECT}/{{target}}"
_PAGE = "/o/{organization}"
_OF_VERSIONS = nothing("when, by whom and how large, no content")
_VERSIONS_PAGE = {"GET": _OF_VERSIONS, "POST": records("purge secret_version")}
_PROJECT_PAGE = f"{_PAGE}/projects/{{project}}"
_TARGET_PAGE = f"{_PROJECT_PAGE}/targets/{{target}}"
_ENVIRONMENT_PAGE = f"{_TARGET_PAGE}/environments/{{environment}}"

_ADMIN_MODELS = (
    "keys/accesstoken",
    "audit/savedview",
    "audit/witness",
    "keys/apikey",
    "keys/keyversion",
    "keys/secret",
    "keys/secretversion",
    "organizations/environment",
    "organizations/invitation",
    "organizations/membership",
    "organizations/organization",
    "organizations/organizationgroupobjectpermission",
    "organizations/organizationuserobjectpermission",
    "organizations/project",
    "organizations/target",
    "organizations/user",
)
_ADMIN_READING = {"GET": nothing("rows without key, hash or token"), ANY: _REFUSED}

ROUTES: dict[str, Mapping[str, Recorded]] = {
    # Accounts
    "/": {ANY: nothing("redirects to an organization")},
    "/organizations/new": {
        "GET": _FORM,
        "POST": records("create organization", "join membership", "grant user"),
    },
    "/styleguide": {"GET": nothing("parts of pages, no data; there is none outside the demo")},
    "/organizations": {ANY: nothing("the names of one's own organizations")},
    "/sign-in": {"GET": _FORM, "POST": _SIGN_IN, "PUT": _FORM},
    "/sign-out": {"POST": records("sign_out user")},
    "/password": {"GET": _FORM, "POST": _CHANGE_PASSWORD, "PUT": _FORM},
    "/password/reset": {"GET": _FORM, "POST": _RESET, "PUT": _FORM},
    "/password/reset/sent": {"GET": nothing("a sentence")},
    "/password/reset/done": {"GET": nothing("a sentence")},
    "/profile": {
        "GET": nothing("what one knows of oneself"),
        "POST": records("update user", note="if the name changed"),
    },
    "/profile/tokens/new": {"GET": _FORM, "POST": records("create access_token")},
    "/profile/tokens/{access_token}/revoke": {"POST": records("delete access_token")},
    "/profile/leave/{membership}": {
        "POST": records("leave membership", "revoke user", "update api_key")
    },
    "/password/reset/{uidb64}/{token}": {
        "GET": _FORM,
        "POST": _CHANGE_PASSWORD,
        "PUT": _FORM,
    },
    "/oauth/authorize": {"GET": nothing("says how to sign in; the same for everybody")},
    "/invitations/{token}": {
        "GET": nothing("to what one is invited"),
        "POST": records(
            "create user", "join membership", "grant user", "update invitation", "sign_in user"
        ),
    },
    # Pages of an organization
    f"{_PAGE}/": {"GET": nothing("redirects to the first page of the role")},
    f"{_PAGE}/overview": {"GET": _VIEW},
    f"{_PAGE}/search": {"GET": nothing("names of projects, people and API keys, no entry")},
    f"{_PAGE}/activity": {"GET": _VIEW},
    f"{_PAGE}/activity/counts": {"GET": _VIEW},
    f"{_PAGE}/activity/facet": {"GET": _VIEW},
    f"{_PAGE}/activity/complete": {"GET": _VIEW},
    f"{_PAGE}/activity/new": {"GET": _VIEW},
    f"{_PAGE}/activity/views": {
        "GET": nothing("names of saved views, no entry"),
        "POST": records("create saved_view"),
    },
    f"{_PAGE}/activity/views/{{view}}": {
        "GET": _FORM,
        "POST": records("update saved_view", "delete saved_view"),
    },
    f"{_PAGE}/activity/{{entry}}": {"GET": _VIEW},
    f"{_PAGE}/activity/{{entry}}/proof": {"GET": _VIEW},
    f"{_PAGE}/access": {"GET": _VIEW},
    f"{_PAGE}/evidence": {"GET": nothing("a checkpoint and public keys, no entry")},
    f"{_PAGE}/evidence/witnesses": {
        "GET": nothing("names of witnesses and when they cosigned"),
        "POST": records("create witness", "delete witness"),
    },
    f"{_PAGE}/history/resource/{{resource}}": {"GET": _VIEW},
    f"{_PAGE}/history/actor/{{actor}}": {"GET": _VIEW},
    f"{_PAGE}/activity/export": {"GET": _EXPORT},
    f"{_PAGE}/activity/evidence": {"GET": _EXPORT},
    f"{_PAGE}/settings": {
        "GET": _SETTINGS,
        "POST": records("update organization", "grant user", "revoke user"),
    },
    f"{_PAGE}/settings/delete": {
        "GET": _FORM,
        "POST": _DELETE_ORGANIZATION,
    },
    f"{_PAGE}/members": {"GET": _MEMBERS, "POST": records("invite invitation")},
    f"{_PAGE}/members/{{member}}": {
        "GET": _MEMBERS,
        "POST": records(*_CHANGE_ROLE, *_GONE_MEMBER[:2], *_KEYS_OF_LEAVER),
    },
    f"{_PAGE}/invitations/{{invitation}}/withdraw": {"POST": records("delete invitation")},
    f"{_PAGE}/projects": {"GET": _SETTINGS},
    f"{_PAGE}/new-project": {
        "GET": _FORM,
        "POST": records("create project", "create key_version"),
    },
    _PROJECT_PAGE: {"GET": _SIZES},
    f"{_PROJECT_PAGE}/change": {"GET": _FORM, "POST": _UPDATE_PROJECT},
    f"{_PROJECT_PAGE}/delete": {
        "GET": _FORM,
        "POST": _DELETE_PROJECT,
    },
    f"{_PROJECT_PAGE}/keys": {"GET": _VIEW},
    f"{_PROJECT_PAGE}/keys/rotate": {
        "GET": _FORM,
        "POST": _ROTATE,
    },
    f"{_PROJECT_PAGE}/custody": {
        "GET": _FORM,
        "POST": records(
            "retrieve key_version",
            "switch_custody key_version",
            "switch_custody project",
            "re_encrypt secret_version",
            note="committed before the key leaves",
        ),
    },
    f"{_PROJECT_PAGE}/new-target": {"GET": _FORM, "POST": records("create target")},
    _TARGET_PAGE: {"GET": _SIZES},
    f"{_TARGET_PAGE}/change": {"GET": _FORM, "POST": _UPDATE_TARGET},
    f"{_TARGET_PAGE}/delete": {"GET": _FORM, "POST": _DELETE_TARGET},
    f"{_TARGET_PAGE}/new-environment": {"GET": _FORM, "POST": records("create environment")},
    f"{_ENVIRONMENT_PAGE}/change": {"GET": _FORM, "POST": _UPDATE_ENVIRONMENT},
    f"{_ENVIRONMENT_PAGE}/delete": {
        "GET": _FORM,
        "POST": _DELETE_ENVIRONMENT,
    },
    f"{_PROJECT_PAGE}/versions": _VERSIONS_PAGE,
    f"{_TARGET_PAGE}/versions": _VERSIONS_PAGE,
    f"{_ENVIRONMENT_PAGE}/versions": _VERSIONS_PAGE,
    f"{_PAGE}/versions/{{version}}": {
        "GET": _OF_VERSIONS,
        "POST": records("restore secret", "restore secret_version", "purge secret_version"),
    },
    f"{_PAGE}/api-keys": {"GET": nothing("names and abilities, no token")},
    f"{_PAGE}/api-keys/new": {"GET": _FORM, "POST": records("create api_key")},
    f"{_PAGE}/api-keys/{{api_key}}/change": {"GET": _FORM, "POST": _UPDATE_API_KEY},
    f"{_PAGE}/api-keys/{{api_key}}": {
        "GET": nothing("its name and abilities, no token"),
        "POST": records("rotate api_key", "delete api_key"),
    },
    # API: who and where
    "/api/": {ANY: nothing("there is no such path")},
    "/api/v1/(?:organizations|organization|user|plans|cli)(?:/.*)?$": {
        ANY: records("access endpoint", note="there is no such path")
    },
    "/api/oauth/(?:token|revoke)$": {ANY: nothing("answers that it is not supported")},
    "/api/v1/openapi.json": {"GET": nothing("the same for everybody")},
    "/api/v1/schemas/entry-1.json": {"GET": nothing("the same for everybody")},
    "/api/docs": {"GET": nothing("the same for everybody")},
    "/api/v1/cli/telemetry": {ANY: nothing("dropped unread")},
    "/api/v1/user": {"GET": nothing("who the caller is")},
    "/api/v1/organization": {"GET": nothing("the caller's own organization")},
    "/api/v1/organizations": {
        "GET": nothing("the caller's own organization"),
        "POST": records("create organization", "join membership", "grant user"),
    },
    _ORGANIZATION: {
        "GET": _SETTINGS,
        "PATCH": _UPDATE_ORGANIZATION,
        "PUT": _UPDATE_ORGANIZATION,
        "DELETE": _DELETE_ORGANIZATION,
    },
    f"{_ORGANIZATION}/members": {"GET": _MEMBERS, "POST": records("invite invitation")},
    f"{_ORGANIZATION}/members/{{member}}": {
        "GET": _MEMBERS,
        "PATCH": records(*_CHANGE_ROLE),
        "DELETE": records("delete membership", "revoke user", *_KEYS_OF_LEAVER),
    },
    # API: projects, targets, environments
    "/api/v1/{organization}/projects": {
        "GET": _SETTINGS,
        "POST": records("create project", "create key_version"),
    },
    _PROJECT: {
        "GET": _SETTINGS,
        "PATCH": _UPDATE_PROJECT,
        "PUT": _UPDATE_PROJECT,
        "DELETE": _DELETE_PROJECT,
    },
    f"{_PROJECT}/targets": {"GET": _SETTINGS, "POST": records("create target")},
    _TARGET: {
        "GET": _SETTINGS,
        "PATCH": _UPDATE_TARGET,
        "PUT": _UPDATE_TARGET,
        "DELETE": _DELETE_TARGET,
    },
    f"{_TARGET}/environments": {"GET": _SETTINGS, "POST": records("create environment")},
    f"{_TARGET}/{{environment}}": {
        "GET": _SETTINGS,
        "PATCH": _UPDATE_ENVIRONMENT,
        "PUT": _UPDATE_ENVIRONMENT,
        "DELETE": _DELETE_ENVIRONMENT,
    },
    _LEGACY: {"GET": _SETTINGS},
    f"{_LEGACY}/{{project}}": {"GET": _SETTINGS},
    f"{_LEGACY}/{{project}}/targets": {"GET": _SETTINGS},
    f"{_LEGACY}/{{project}}/targets/{{target}}": {"GET": _SETTINGS},
    f"{_LEGACY}/{{project}}/targets/{{target}}/environments": {"GET": _SETTINGS},
    f"{_LEGACY}/{{project}}/targets/{{target}}/environments/{{environment}}": {"GET": _SETTINGS},
    # API: keys
    f"{_PROJECT}/encryption-key": {
        "GET": records("retrieve key_version", note="committed before the key leaves")
    },
    f"{_PROJECT}/encryption-key/history": {"GET": _HISTORY},
    f"{_PROJECT}/encryption-key/rotate": {
        "POST": records(
            *_ROTATED, "retrieve key_version", note="retrieved by who may; before the key leaves"
        ),
    },
    # API: secrets and their versions
    f"{_PROJECT}/secrets": _READING,
    f"{_TARGET}/secrets": _READING,
    f"{_TARGET}/{{environment}}/secrets": _READING,
    f"{_LEGACY}/{{project}}/secrets": _READING,
    f"{_LEGACY}/{{project}}/targets/{{target}}/secrets": _READING,
    f"{_LEGACY}/{{project}}/targets/{{target}}/environments/{{environment}}/secrets": _READING,
    "/api/v1/{organization}/secrets/retrieve": _RETRIEVING,
    f"{_ORGANIZATION}/secrets/retrieve": _RETRIEVING,
    f"{_PROJECT}/secrets/rotate-client-keys": {
        "POST": _ROTATE,
    },
    f"{_PROJECT}/secrets/re-encrypt-history/pending": {
        "POST": records("read secret_version", note="committed before the content leaves")
    },
    f"{_PROJECT}/secrets/re-encrypt-history": {"POST": records("re_encrypt secret_version")},
    "/api/v1/{organization}/secrets/store": {
        "POST": records("create secret", "update secret", "create secret_version")
    },
    "/api/v1/{organization}/secrets/delete": {
        "POST": records("delete secret", "create secret_version", "purge secret_version")
    },
    "/api/v1/{organization}/secrets/versions": {
        "POST": _OF_VERSIONS,
    },
    "/api/v1/{organization}/secrets/versions/{version}": {
        "GET": records("read secret_version", note="committed before the content leaves"),
        "DELETE": records("purge secret_version"),
    },
    "/api/v1/{organization}/secrets/versions/{version}/restore": {
        "POST": records("restore secret", "restore secret_version")
    },
    "/api/v1/{organization}/secrets/versions/purge": {"POST": records("purge secret_version")},
    f"{_ORGANIZATION}/api-keys": {
        "GET": nothing("names and abilities, no token"),
        "POST": records("create api_key"),
    },
    f"{_ORGANIZATION}/api-keys/{{api_key}}": {
        "GET": nothing("its name and abilities, no token"),
        "PATCH": _UPDATE_API_KEY,
        "PUT": _UPDATE_API_KEY,
        "DELETE": records("delete api_key"),
    },
    f"{_ORGANIZATION}/api-keys/{{api_key}}/rotate": {"POST": records("rotate api_key")},
    # API: the log
    f"{_ORGANIZATION}/audit/entries": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/entries/{{entry}}": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/entries/export": {"GET": _EXPORT},
    f"{_ORGANIZATION}/audit/entries/{{entry}}/proof": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/checkpoint": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/tile/{{tile}}": {"GET": _TILES},
    f"{_ORGANIZATION}/audit/consistency": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/keys": {"GET": nothing("public keys")},
    f"{_ORGANIZATION}/audit/seen": {
        "POST": records("verify audit_log", note="if the log does not continue the checkpoint")
    },
    f"{_ORGANIZATION}/audit/cosignatures": {
        "POST": nothing("a signature on hashes, kept beside the checkpoint")
    },
    f"{_ORGANIZATION}/audit/witnesses": {
        "GET": nothing("names and public keys of witnesses"),
        "POST": records("create witness"),
    },
    f"{_ORGANIZATION}/audit/witnesses/{{witness}}": {"DELETE": records("delete witness")},
    f"{_ORGANIZATION}/audit/heads": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/heads/checkpoint": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/heads/consistency": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/heads/tile/{{tile}}": {"GET": _HASHES},
    f"{_ORGANIZATION}/audit/evidence": {"GET": _EXPORT},
    "/audit/{organization}/checkpoint": {"GET": _HASHES},
    "/audit/{organization}/tile/{tile}": {"GET": _TILES},
    "/.well-known/dotenv-audit-keys": {"GET": nothing("public keys; the same for everybody")},
    f"{_ORGANIZATION}/audit/histogram": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/facets": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/counts": {"GET": _VIEW},
    f"{_ORGANIZATION}/audit/catalogue": {"GET": nothing("the words of the log, no entry")},
    # Admin
    "/admin": {"GET": nothing("redirects to the admin")},
    "/admin/": {"GET": nothing("what there is to read"), ANY: _REFUSED},
    "/admin/(?P<app_label>audit|keys|organizations)/$": {
        "GET": nothing("what there is to read"),
        ANY: _REFUSED,
    },
    "/admin/jsi18n/": {"GET": nothing("words of the page"), ANY: _REFUSED},
    "/admin/audit/entry/": {"GET": _VIEW, ANY: _REFUSED},
    "/admin/audit/entry/export": {"GET": _EXPORT, ANY: _REFUSED},
    "/admin/audit/entry/evidence": {
        "GET": nothing("figures of the evidence, no entry"),
        ANY: _REFUSED,
    },
    "/admin/audit/entry/{object_id}/change/": {"GET": _VIEW, ANY: _REFUSED},
    **{f"/admin/{model}/": _ADMIN_READING for model in _ADMIN_MODELS},
    **{f"/admin/{model}/{{object_id}}/change/": _ADMIN_READING for model in _ADMIN_MODELS},
}


def mistakes(
    routes: Iterable[Route], declared: Mapping[str, Mapping[str, Recorded]] = ROUTES
) -> Iterator[str]:
    """What is wrong with `declared` for these routes, each with its remedy."""
    routes = list(routes)
    for route in routes:
        if route.path not in declared:
            methods = ", ".join(route.methods)
            yield f"{route.path} ({methods}) is unmapped; {_SAY} what it records"
            continue
        mapped = declared[route.path]
        for method in route.methods:
            if method not in mapped and ANY not in mapped:
                yield f"{method} {route.path} is unmapped; {_SAY} what it records"
        for method in mapped:
            if method not in route.methods and ANY not in route.methods:
                yield f"{method} {route.path} does not exist; remove it from {_FILE}"
    known = {route.path for route in routes}
    for path in declared:
        if path not in known:
            yield f"{path} does not exist; remove it from {_FILE}"
    for path, mapped in declared.items():
        yield from _unknown_words(path, mapped)


def _unknown_words(path: str, mapped: Mapping[str, Recorded]) -> Iterator[str]:
    for method, recorded in mapped.items():
        if not recorded.entries and not recorded.note:
            yield f"{method} {path} records nothing and gives no reason; add one"
        for action, type_name in recorded.entries:
            if policy.action(action) is None:
                yield f"{method} {path}: {action!r} is not an action of audit/policy.py"
            if type_name not in policy.RESOURCE_TYPES:
                yield f"{method} {path}: {type_name!r} is not a resource type of audit/policy.py"


# -- The page


def page(routes: Iterable[Route]) -> str:
    """docs/audit-coverage.md."""
    lines = [
        "# What the audit log records",
        "",
        "Generated by `manage.py audit_coverage` from `audit/policy.py`,"
        " `audit/coverage/declared.py` and the URL map. CI fails when this page is out of date or a"
        " route is missing. A test makes each request listed here, and fails when it records"
        " anything else.",
        "",
        "Anything that is not on this page is not recorded. Only the fields listed below are"
        " recorded with their values; any other field that changes is recorded by name.",
        "",
        "## Rows",
        "",
        "Every insert, update and delete, by any role: each changed row gets an entry, written by"
        " the same statement, or the statement is refused.",
        "",
        "| resource | values recorded, before and after | named without values"
        " | gets no entry by itself | actions besides create, update, delete |",
        "|---|---|---|---|---|",
        *(_resource_line(spec) for spec in policy.RESOURCES),
        "",
        "Rows that link two others are recorded as values of a field of one of them:",
        "",
        "| table | entered as | actions |",
        "|---|---|---|",
        *(
            f"| {spec.model_class()._meta.db_table} | `{spec.field}` of {_words(spec.of)}"
            " | grant, revoke |"
            for spec in policy.PARTS
        ),
        "",
        "## Rows that are not audited",
        "",
        "`manage.py check` and `migrate` fail for a table that is listed neither above nor here.",
        "",
        "| table | why | what the application does with it |",
        "|---|---|---|",
        *(
            f"| {table} | {exempt.reason} | {exempt.use} |"
            for table, exempt in sorted(policy.exempt_tables().items())
        ),
        "",
        "## Actions",
        "",
        f"Any entry may also carry {', '.join(f'`{name}`' for name in policy.ALWAYS_ALLOWED)}.",
        "",
        "| action | reads as | severity | facts it may carry |",
        "|---|---|---|---|",
        *(
            f"| `{action.name}` | {action.label} | {action.severity}"
            f" | {', '.join(f'`{name}`' for name in action.context) or '–'} |"
            for action in policy.ACTIONS
        ),
        "",
        "## Routes",
        "",
        "In addition, every response 401, 403 or 429, and every 404 that hides something that"
        " exists, is recorded as `access endpoint` (denied). Repeats within a minute are counted."
        " The"
        " first use of a token is recorded as `first_use`, a use from another address as"
        " `new_address`."
        " `*` stands for all methods that are not named.",
        "",
        "| method | route | records |",
        "|---|---|---|",
    ]
    for route in routes:
        for method, recorded in ROUTES.get(route.path, {}).items():
            path = route.path.replace("|", "\\|")
            lines.append(f"| {method.replace(ANY, '&#42;')} | `{path}` | {recorded} |")
    return "\n".join(lines) + "\n"


def _resource_line(spec: policy.Resource) -> str:
    columns = policy.columns(spec.model_class())
    recorded = policy.recorded_columns(spec)
    key = str(spec.model_class()._meta.pk.column)
    # By name: the order of columns depends on what was imported first.
    named = sorted(c for c in columns if c not in (*recorded, *spec.silent, key))
    verbs = sorted({named.verb.value for named in spec.verbs})
    cells = (recorded, named, spec.silent, verbs)
    listed = (", ".join(f"`{name}`" for name in cell) or "–" for cell in cells)
    return f"| {_words(spec.name)} | {' | '.join(listed)} |"


def _words(type_name: str) -> str:
    return policy.RESOURCE_TYPES[type_name]
