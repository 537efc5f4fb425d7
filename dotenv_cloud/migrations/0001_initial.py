"""The table that limits are counted in: unlogged, because a count need not survive a crash."""

from __future__ import annotations

from django.db import migrations

LIMITS = """
CREATE UNLOGGED TABLE dotenv_cloud_limit (
    scope text NOT NULL,
    key bytea NOT NULL,
    hits integer NOT NULL,
    ends_at timestamptz NOT NULL,
    PRIMARY KEY (scope, key)
)
"""


class Migration(migrations.Migration):
    initial = True
    operations = [migrations.RunSQL(LIMITS, "DROP TABLE dotenv_cloud_limit")]
