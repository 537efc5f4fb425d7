"""Inbox, ledger and view. The SQL lies beside this file, one file a subject."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

SQL = Path(__file__).parent / "sql"


def install(apps: object, schema_editor: BaseDatabaseSchemaEditor) -> None:
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT current_user")
        [owner] = cursor.fetchone()
        sealer = settings.DATABASES["sealer"]["USER"]
        for file in sorted(SQL.glob("*.sql")):
            sql = file.read_text().replace("{owner}", owner).replace("{sealer}", sealer)
            cursor.execute(sql)


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
    ]
