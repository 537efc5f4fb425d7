"""Redaction: what has the form of a secret is recorded nowhere, no matter who enters it, and the
database and the application mean the same by it.
"""

from __future__ import annotations

import json
import random
import re
import string
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db.utils import DatabaseError
from psycopg import errors

from audit import redaction
from audit.capture import events
from audit.context import Actor, Origin, acting_from
from audit.policy import ActorType, Interface
from keys import tokens
from organizations import secret_forms, ulid
from organizations.models import Organization, Project
from tests.conftest import Connection
from tests.factories import ProjectFactory, TargetFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

_LETTERS = string.ascii_letters + string.digits


def _some(length: int, of: str = _LETTERS) -> str:
    return "".join(random.Random(length).choice(of) for _ in range(length))


# Put together here, or scanners of repositories would take them for real ones.
PEM = "-----BEGIN {0}PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n\n{1}\n-----END {0}PRIVATE KEY-----"
SECRETS = {
    "API key": tokens.new(ulid.new()),
    "AWS access key": "AKIA" + _some(16, string.ascii_uppercase),
    "AWS session": "ASIA" + _some(16, string.ascii_uppercase),
    "AWS secret": "aws_secret_access_key = " + _some(40),
    "GitHub token": "ghp_" + _some(36),
    "GitHub app": "ghs_" + _some(36),
    "GitHub fine-grained": "github_pat_" + _some(22) + "_" + _some(59),
    "Slack bot": "xoxb-" + _some(12, string.digits) + "-" + _some(24),
    "Slack app": "xapp-1-" + _some(30),
    "Slack webhook": "https://hooks.slack.com/services/T0000/B0000/" + _some(24),
    "Stripe": "sk_live_" + _some(24),
    "Stripe restricted": "rk_test_" + _some(24),
    "Stripe webhook": "whsec_" + _some(32),
    "RSA key": PEM.format("RSA ", _some(64)),
    "PKCS 8 key": PEM.format("", _some(64)),
    "key without an end": PEM.format("EC ", _some(64)).partition("-----END")[0],
    "database": "postgres://app:hunter2hunter2@db.example.org/app",
    "proxy": "http://:p@ss:word1@proxy:3128",
}


def secret_part(text: str) -> str:
    """What of it must not be seen anywhere."""
    found = re.findall(r"[A-Za-z0-9@:]{8,}", text.removeprefix("postgres://app:"))
    return str(max(found, key=len))


@pytest.mark.parametrize("name", SECRETS)
def test_every_form_is_known(name: str) -> None:
    text = f"see {SECRETS[name]} here"
    assert secret_forms.is_in(text)
    assert redaction.MARK in redaction.redact(text)
    assert secret_part(SECRETS[name]) not in redaction.redact(text)
    assert redaction.redact(text).startswith("see ")


@pytest.mark.parametrize(
    "text",
    [
        "Shop production",
        "basic information of everybody",
        "the bearer of bad news",
        "dotenv_production",
        "https://example.org:8080/a@b",
        "mailto:a@example.org",
        "key_live",
        "AKIA is a prefix",
        "-----BEGIN CERTIFICATE-----",
        "ssh://git@example.org/repository.git",
        "skunk_live_stream",
    ],
)
def test_what_people_write_is_left_alone(text: str) -> None:
    assert redaction.redact(text) == text
    assert not secret_forms.is_in(text)


# -- The same in the database


def random_texts(count: int) -> list[str]:
    """Pieces of secrets, whole ones, and what may stand between them."""
    numbers = random.Random(14)
    pieces = [*secret_forms.PARTS, *SECRETS.values(), "-----BEGIN ", "-----", "-----END ", " KEY"]
    pieces += ["Bearer ", "basic\t", "Basic dXNlcjpwYXNz", "@", ":", "//", "/", "-", "_", "\n", '"']
    pieces += ["\\", "'", "=", "?", "#", "<", ">", "é", "ı", "\u212a", "\u2028", "\U0001f511", " "]

    def piece() -> str:
        chosen = numbers.choice(pieces)
        match numbers.randrange(4):
            case 0:
                return chosen[: numbers.randint(0, len(chosen))]
            case 1:
                return "".join(
                    numbers.choice(_LETTERS + "-_@:/") for _ in range(numbers.randint(0, 30))
                )
            case 2:
                return numbers.choice((chosen.upper(), chosen.lower(), chosen))
            case _:
                return chosen

    return ["".join(piece() for _ in range(numbers.randint(1, 9))) for _ in range(count)]


def test_python_and_the_database_redact_alike(owner_connection: Connection) -> None:
    texts = random_texts(10_000)
    by_database = [
        text
        for (text,) in owner_connection.execute(
            "SELECT audit_redacted(t) FROM unnest(%s::text[]) WITH ORDINALITY AS e (t, n)"
            " ORDER BY n",
            [texts],
        )
    ]
    by_python = [redaction.redact(text) for text in texts]
    assert sum(a != b for a, b in zip(texts, by_python, strict=True)) > 2_000
    assert by_database == by_python
    # Redacting again changes nothing: else the inbox would refuse what has been redacted.
    assert [redaction.redact(text) for text in by_python] == by_python
    cleaned = [redaction.clean(text, 500) for text in texts]
    assert [redaction.redact(text) for text in cleaned] == cleaned


def test_they_redact_json_alike(owner_connection: Connection) -> None:
    numbers = random.Random(15)
    texts = random_texts(2_000)

    def value(depth: int) -> Any:
        match numbers.randrange(5 if depth < 4 else 2):
            case 0:
                return numbers.choice((None, True, numbers.randrange(10**9)))
            case 1 | 2:
                return numbers.choice(texts)
            case 3:
                return [value(depth + 1) for _ in range(numbers.randrange(4))]
            case _:
                return {
                    numbers.choice(texts): value(depth + 1) for _ in range(numbers.randrange(4))
                }

    values = [value(0) for _ in range(1_000)]
    for given, (found,) in zip(
        values,
        owner_connection.execute(
            "SELECT audit_redacted_json(t::jsonb) FROM unnest(%s::text[]) WITH ORDINALITY e (t, n)"
            " ORDER BY n",
            [[json.dumps(each) for each in values]],
        ),
        strict=True,
    ):
        wanted = redaction.redact_all(given)
        # Names that become one are one member, whichever it is.
        if json.dumps(wanted).count(redaction.MARK + '":') < 2:
            assert found == wanted


# -- Whatever is recorded


def everything_recorded(connection: Connection) -> str:
    rows = connection.execute(
        "SELECT audit_inbox::text, changes::text, context::text FROM audit_inbox"
    )
    return "\n".join(str(row) for row in rows)


SAY = "SELECT set_config('audit.act', extract(epoch FROM statement_timestamp())::text || %s, true)"


@pytest.mark.parametrize("name", SECRETS)
def test_a_secret_in_a_row_is_redacted_by_the_database(
    organization: Organization,
    application_connection: Connection,
    owner_connection: Connection,
    name: str,
) -> None:
    """By raw SQL, past every form: in a name, a description, and the label made of a slug."""
    project = ProjectFactory.create(organization=organization)
    target, other = (TargetFactory.create(project=project) for _ in range(2))
    secret = SECRETS[name]
    for statement in (
        "UPDATE organizations_target SET description = %(secret)s WHERE id = %(id)s",
        "UPDATE organizations_target SET name = left(%(secret)s, 80), description = 'x'"
        " WHERE id IN (%(id)s, %(other)s)",
        "UPDATE organizations_target SET description = %(secret)s, slug = left(%(secret)s, 50)"
        " WHERE id = %(id)s",
        "DELETE FROM organizations_target WHERE id = %(id)s",
    ):
        with application_connection.transaction():
            application_connection.execute("SET LOCAL audit.reason = 'a test'")
            parameters = {"secret": secret, "id": target.pk, "other": other.pk}
            application_connection.execute(statement, parameters)  # type: ignore[call-overload]
    recorded = everything_recorded(owner_connection)
    assert redaction.MARK in recorded
    assert secret_part(secret) not in recorded


def test_a_secret_in_the_words_of_a_statement_is_redacted(
    organization: Organization, application_connection: Connection, owner_connection: Connection
) -> None:
    project = ProjectFactory.create(organization=organization)
    secret = SECRETS["GitHub token"]
    words = {
        "actor_type": "user",
        "actor_label": f"x {secret}",
        "interface": "web",
        "user_agent": f"y {secret}",
        "context": {"command": secret, secret: 1, "deep": [{"er": secret}]},
    }
    # Also written so that the words themselves do not show it.
    hidden = json.dumps(words).replace("ghp_", "\\u0067hp_")
    for said in (json.dumps(words), hidden):
        application_connection.execute(
            f"WITH w AS MATERIALIZED ({SAY} IS NULL AS said), r AS (UPDATE organizations_project"
            " SET name = name || '!' WHERE id = %s RETURNING 1) SELECT count(*) FROM r, w",
            [said, project.pk],
        )
    recorded = everything_recorded(owner_connection)
    assert recorded.count(redaction.MARK) >= 10
    assert secret not in recorded


def test_a_reason_is_redacted(
    organization: Organization, application_connection: Connection, owner_connection: Connection
) -> None:
    project = ProjectFactory.create(organization=organization)
    with application_connection.transaction():
        application_connection.execute(
            "SELECT set_config('audit.reason', %s, true)", [f"with {SECRETS['Stripe']}"]
        )
        application_connection.execute(
            "UPDATE organizations_project SET name = 'y' WHERE id = %s", [project.pk]
        )
    assert SECRETS["Stripe"] not in everything_recorded(owner_connection)


COLUMNS = {
    "resource_label": "x",
    "actor_label": "x",
    "user_agent": "x",
    "action": "view",
    "resource_type": "project",
    "actor_type": "user",
    "interface": "web",
    "result": "success",
    "context": "{}",
}


@pytest.mark.parametrize("column", COLUMNS)
def test_an_event_with_a_secret_is_refused_by_the_database(
    organization: Organization, application_connection: Connection, column: str
) -> None:
    secret = SECRETS["GitHub token"]
    values = COLUMNS | {column: json.dumps({"a": [secret]}) if column == "context" else secret}
    names = ", ".join(values)
    with pytest.raises(errors.InsufficientPrivilege, match="row-level security"):
        application_connection.execute(
            f"INSERT INTO audit_inbox (organization_id, {names})"  # type: ignore[arg-type]
            f" VALUES (%s, {', '.join(['%s'] * len(values))})",
            [organization.pk, *values.values()],
        )
    with pytest.raises(errors.CheckViolation):
        entry = values | {"organization_id": str(organization.pk), "changes": {}}
        entry["context"] = json.loads(values["context"])
        application_connection.execute(
            "INSERT INTO audit_repeat (key, minute, entry) VALUES ('k', now(), %s)",
            [json.dumps(entry)],
        )


def test_events_are_redacted_before_they_are_entered(
    organization: Organization, owner_connection: Connection
) -> None:
    """The application never sends what the database would refuse."""
    for text in SECRETS.values():
        _record_by(organization, text)
    recorded = everything_recorded(owner_connection)
    assert not [name for name, text in SECRETS.items() if secret_part(text) in recorded]
    for text in random_texts(300):
        _record_by(organization, text)


def _record_by(organization: Organization, text: str) -> None:
    origin = Origin(interface=Interface.WEB, user_agent=text, command=text)
    with acting_from(origin, Actor(ActorType.USER, None, text)):
        events.record(
            "view",
            resource_type="audit_log",
            resource_label=text,
            organization_id=organization.pk,
        )


# -- Said before it is saved


@pytest.mark.parametrize("name", SECRETS)
def test_a_name_or_description_that_is_a_secret_is_refused(
    organization: Organization, name: str
) -> None:
    line = SECRETS[name].replace("\n", " ")
    for fields in ({"name": line[:80]}, {"description": SECRETS[name]}):
        if not secret_forms.is_in(next(iter(fields.values()))):
            continue
        with pytest.raises(ValidationError, match="looks like a token"):
            Project(organization=organization, slug="x", **{"name": "X", **fields}).full_clean()
        with pytest.raises((ValidationError, DatabaseError)):
            ProjectFactory.create(organization=organization, **fields)
