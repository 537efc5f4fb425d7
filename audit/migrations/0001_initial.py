"""Inbox, ledger and view; the SQL lies beside this file, one file a subject. And saved views."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

import django.db.models.deletion
import django.db.models.functions.text
from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

import organizations.clock
import organizations.ulid
from audit import policy, redaction
from audit.capture import places_sql, triggers
from audit.entry import bulk_json, recorded_json
from audit.evidence import notes
from audit.ledger import sealing
from organizations import secret_forms

SQL = Path(__file__).parent / "sql"


def install(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        [owner] = cursor.fetchone()
        sealer = settings.DATABASES["sealer"]["USER"]
        for file in sorted(SQL.glob("*.sql")):
            sql = file.read_text()
            for name, value in {
                "owner": owner,
                "sealer": sealer,
                "row_actions": triggers.row_actions(),
                "places": places_sql.functions(),
                "heads": str(notes.HEADS),
                "field_block": str(sealing.FIELD_BLOCK),
                "columns_as_text": ", ".join(bulk_json.COLUMNS.values()),
                "longest_field_name": str(sealing.LONGEST_FIELD_NAME),
                "path_types": _listed(policy.PATH_TYPES),
                "kept_actions": _listed(policy.KEPT_DETAILS),
                "secret_pattern": redaction.PATTERN,
                "secret_replacement": redaction.REPLACEMENT,
                "like_any_secret": secret_forms.like_any(),
                "deepest": str(recorded_json.DEEPEST),
                "longest": str(recorded_json.LONGEST),
                "ulid_pairs": json.dumps(organizations.ulid.TWO_DIGITS),
            }.items():
                sql = sql.replace(f"{{{name}}}", value)
            cursor.execute(sql)


def _listed(words: Iterable[str]) -> str:
    return ", ".join(f"'{word}'" for word in sorted(words))


class Migration(migrations.Migration):
    initial = True
    dependencies = [("organizations", "0001_initial"), ("keys", "0001_initial")]
    operations = [
        migrations.RunPython(install, migrations.RunPython.noop),
        migrations.CreateModel(
            name="Entry",
            fields=[("id", models.UUIDField(primary_key=True, serialize=False))],
            options={
                "verbose_name_plural": "entries",
                "db_table": "audit_entry",
                "managed": False,
                "default_permissions": (),
            },
        ),
        migrations.CreateModel(
            name="SavedView",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=organizations.ulid.new,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=organizations.clock.now, editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=organizations.clock.now, editable=False),
                ),
                ("name", models.CharField(max_length=80)),
                ("query", models.TextField()),
                ("is_shared", models.BooleanField(default=False)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_views",
                        to="organizations.organization",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="saved_views",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "ordering": ("name", "id"),
                "default_permissions": (),
            },
        ),
        migrations.AddConstraint(
            model_name="savedview",
            constraint=models.UniqueConstraint(
                models.F("organization"),
                models.F("user"),
                django.db.models.functions.text.Lower("name"),
                name="audit_savedview_name",
            ),
        ),
        migrations.CreateModel(
            name="Witness",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=organizations.ulid.new,
                        editable=False,
                        primary_key=True,
                        serialize=False,
                    ),
                ),
                (
                    "created_at",
                    models.DateTimeField(default=organizations.clock.now, editable=False),
                ),
                (
                    "updated_at",
                    models.DateTimeField(default=organizations.clock.now, editable=False),
                ),
                ("name", models.CharField(max_length=200)),
                ("vkey", models.CharField(max_length=300)),
                ("url", models.URLField(blank=True, max_length=500)),
                (
                    "organization",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="witnesses",
                        to="organizations.organization",
                    ),
                ),
            ],
            options={
                "ordering": ("name", "id"),
                "default_permissions": (),
                "db_table": "audit_witness",
            },
        ),
        migrations.AddConstraint(
            model_name="witness",
            constraint=models.UniqueConstraint(
                fields=("organization", "vkey"), name="audit_witness_vkey"
            ),
        ),
    ]
