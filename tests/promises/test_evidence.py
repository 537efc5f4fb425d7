"""Evidence: each sealed entry is a leaf of its log's tree, the tree only grows, and whatever is
done to the log or to the worker, no leaf is another one afterwards."""

from __future__ import annotations

import base64
import contextlib
import datetime as dt
import io
import json
import os
import random
import signal
import subprocess
import sys
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connections, transaction
from psycopg import errors

from audit import policy
from audit.entry import bulk_json
from audit.evidence import leaf, notes, reading, signing, tree, verifying, writing
from audit.ledger.partitions import Lock
from audit.models import Entry
from audit.questions import tenant_scope
from organizations import clock, ulid
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection, Databases
from tests.factories import OrganizationFactory, ProjectFactory
from tests.promises import test_evidence_vectors as vectors
from tests.query import seeding

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def no_keys_left_over() -> None:
    signing.keys.cache_clear()


def made_up(organization: uuid.UUID, count: int, seed: int = 1) -> list[seeding.Row]:
    """Entries of the last hour."""
    now = clock.now()
    return seeding.Organization(organization, seed).rows(count, now - dt.timedelta(hours=1), now)


def logs(connection: Connection) -> list[uuid.UUID]:
    return [key for (key,) in connection.execute("SELECT organization_id FROM audit_log")]


def test_a_log_grown_in_random_steps_is_the_one_made_at_once(
    owner_connection: Connection,
) -> None:
    chance = random.Random(7)
    organizations = [uuid.uuid4() for _ in range(3)]
    waiting = [row for n, each in enumerate(organizations) for row in made_up(each, 700, n)]
    chance.shuffle(waiting)
    worker = writing.Worker()
    while waiting:
        some = chance.choice((1, 3, 40, 300))
        seeding.receive(owner_connection, waiting[:some])
        del waiting[:some]
        evidence.seal_all()
        if chance.random() < 0.7:
            worker.round(chance.choice((1, 5, 200, 20_000)))
        if chance.random() < 0.2:
            worker = writing.Worker()
    evidence.prove_all()
    for each in organizations:
        assert evidence.size_and_root(owner_connection, each)[0] == 700
        evidence.assert_made_at_once(owner_connection, each)


def test_a_worker_that_fails_at_any_statement_continues_where_it_was(
    owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = uuid.uuid4()
    waiting = made_up(organization, 900)
    asked = writing.Worker._rows
    for fails_at in range(1, 13):
        seeding.receive(owner_connection, waiting[:70])
        del waiting[:70]
        evidence.seal_all()
        count = 0

        def failing(self: Any, *arguments: Any, at: int = fails_at) -> Any:
            nonlocal count
            count += 1
            if count == at:
                raise DatabaseError("the worker was killed")
            with transaction.atomic(using="sealer"):
                found = asked(self, *arguments)
                if count == at - 1:
                    # Done, but not committed.
                    transaction.set_rollback(at % 2 == 0, using="sealer")
            return found

        monkeypatch.setattr(writing.Worker, "_rows", failing)
        with contextlib.suppress(DatabaseError):
            writing.Worker().round(50)
        monkeypatch.setattr(writing.Worker, "_rows", asked)
    evidence.prove_all()
    assert evidence.size_and_root(owner_connection, organization)[0] == 840
    evidence.assert_made_at_once(owner_connection, organization)


def test_a_killed_worker_leaves_nothing_half_done(
    owner_connection: Connection, databases: Databases
) -> None:
    organization = uuid.uuid4()
    seeding.receive(owner_connection, made_up(organization, 6_000))
    evidence.seal_all()
    command = [
        sys.executable,
        "-c",
        "import django; django.setup();"
        "from audit.evidence import writing; w = writing.Worker();"
        "print('ready', flush=True)\n"
        "while w.round(37).is_behind: pass",
    ]
    environment = os.environ | databases.environment | {"DJANGO_SETTINGS_MODULE": "tests.settings"}
    size = 0
    for _ in range(3):
        with subprocess.Popen(
            command, env=environment, cwd=ROOT, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            process.stdout.readline()
            until = time.monotonic() + 30
            while evidence.size_and_root(owner_connection, organization)[0] == size:
                assert time.monotonic() < until
            os.kill(process.pid, signal.SIGKILL)
        size, _ = evidence.size_and_root(owner_connection, organization)
    assert 0 < size < 6_000
    evidence.assert_made_at_once(owner_connection, organization)
    evidence.prove_all()
    assert evidence.size_and_root(owner_connection, organization)[0] == 6_000
    evidence.assert_made_at_once(owner_connection, organization)


def test_a_log_of_the_vectors_rows_has_their_leaves_and_roots(
    owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = vectors.LINES[:600]
    rows = [vectors.row_of(line) for line in lines]
    organization = uuid.UUID(rows[0].organization_id)
    salts = b"".join(bytes.fromhex(json.loads(line)["salt"]) for line in lines)
    _insert_sealed(owner_connection, rows)
    given = io.BytesIO(salts)
    monkeypatch.setattr(leaf, "new_salts", lambda count: given.read(16 * count))
    roots = vectors.KNOWN["log"]["roots"]
    worker = writing.Worker()
    for size in sorted(int(size) for size in roots if 0 < int(size) <= 600):
        done = evidence.size_and_root(owner_connection, organization)[0]
        worker.round(size - done)
        assert evidence.size_and_root(owner_connection, organization)[1].hex() == roots[str(size)]
    with transaction.atomic():
        tenant_scope.enter([organization])
        shown = [each.line() for each in reading.leaves(organization, 0, 600)]
    assert shown == lines


def _insert_sealed(connection: Connection, rows: Sequence[Any]) -> None:
    """Put rows of text into the ledger, numbered as they are, and note them as the sealer does."""
    columns = rows[0]._fields
    connection.execute("SELECT audit_ensure_partitions('2025-10-01', '2025-12-01')")
    with connection.transaction(), connection.cursor() as cursor:
        with cursor.copy(f"COPY audit_ledger ({', '.join(columns)}) FROM STDIN") as copy:  # type: ignore[arg-type]
            for row in rows:
                copy.write_row(row)
        key = uuid.UUID(rows[0].organization_id)
        cursor.execute(seeding._NOTE_FIELDS, [[key]])
        cursor.execute("INSERT INTO audit_log VALUES (%s, %s)", [key, len(rows)])


def test_entries_of_the_past_and_of_a_clock_set_back_are_found(
    owner_connection: Connection,
) -> None:
    organization = uuid.uuid4()
    worker = writing.Worker()
    for days in (0, 3, 0, 400, 0):
        now = clock.now() - dt.timedelta(days=days)
        log = seeding.Organization(organization, days)
        seeding.receive(owner_connection, log.rows(40, now - dt.timedelta(minutes=1), now))
        evidence.seal_all()
        assert not worker.round().refused
    assert evidence.size_and_root(owner_connection, organization)[0] == 200
    evidence.assert_made_at_once(owner_connection, organization)


@pytest.mark.parametrize(
    "column",
    [
        '{"a": 1' + "0" * 5_000 + "}",
        '{"a": 1' + "0" * 400 + ".5}",
        '{"a": ' + "[" * 1_500 + "]" * 1_500 + "}",
        '{"a": "' + "/" * 990 + '"}',
        '{"a": "' + "x" * 1_200_000 + '"}',
        '["no object", 1.5]',
        '{"\ue000": 1, "😀": 2}',
        '{"a": -0.0, "b": 9007199254740993}',
    ],
    ids=["10^5000", "10^400+.5", "1500 brackets", "slashes", "large", "array", "order", "numbers"],
)
def test_making_a_leaf_never_fails(
    owner_connection: Connection, superuser_connection: Connection, column: str
) -> None:
    """Whatever a superuser put into the ledger: the rest of the log goes on."""
    organization = uuid.uuid4()
    seeding.receive(owner_connection, made_up(organization, 5))
    superuser_connection.execute(
        "INSERT INTO audit_inbox (organization_id, actor_type, actor_label, action, resource_type,"
        " resource_label, interface, changes, context)"
        " VALUES (%s, 'user', repeat('x', 2600), 'update', 'project', repeat('a/', 1300), 'web',"
        " %s::jsonb, %s::jsonb)",
        [organization, column if column.startswith("{") else "{}", column],
    )
    seeding.receive(owner_connection, made_up(organization, 5, seed=2))
    evidence.seal_all()
    assert not evidence.prove_all().refused
    evidence.assert_made_at_once(owner_connection, organization)
    with transaction.atomic():
        tenant_scope.enter([organization])
        for each in reading.leaves(organization, 0, 11):
            assert each.data is not None
            assert leaf.PATTERN.fullmatch(each.data.decode())
            assert len(each.data) <= leaf.LONGEST
            json.loads(each.line())


def test_an_update_that_renames_says_the_former_path(
    organization: Organization, owner_connection: Connection
) -> None:
    project = ProjectFactory.create(organization=organization, slug="shop")
    project.slug = "storefront"
    project.save()
    evidence.seal_all()
    evidence.prove_all()
    with transaction.atomic():
        tenant_scope.enter([organization.pk])
        size = evidence.size_and_root(owner_connection, organization.pk)[0]
        data = [json.loads(each.data or b"{}") for each in reading.leaves(organization.pk, 0, size)]
    renamed = [each["resource"] for each in data if "was" in each["resource"]]
    assert [(each["label"], each["was"]) for each in renamed] == [("storefront", "shop")]


# -- Signatures


def _verified(note: str, name: str, public: bytes) -> bool:
    """Whether a line of the note is this key's, and right."""
    text, _, lines = note.rpartition("\n\n")
    for line in lines.splitlines():
        _, signer, encoded = line.split(" ")
        blob = base64.b64decode(encoded)
        if signer == name and blob[:4] == notes.key_id(name, public):
            Ed25519PublicKey.from_public_bytes(public).verify(blob[4:], f"{text}\n".encode())
            return True
    return False


def test_every_head_is_signed_in_the_name_of_its_log(
    organization: Organization, owner_connection: Connection
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    public = signing.keys()[0].public
    for key in logs(owner_connection):
        checkpoint = reading.newest(key, "owner")
        assert checkpoint is not None
        name = f"dotenv.example.com/audit/{ulid.to_text(key)}"
        assert checkpoint.note.startswith(f"{name}\n{checkpoint.size}\n")
        assert checkpoint.root == evidence.size_and_root(owner_connection, key)[1]
        assert _verified(checkpoint.note, name, public)


def test_a_rotation_signs_with_both_is_announced_by_the_old_and_entered_in_each_log(
    organization: Organization, owner_connection: Connection, settings: Any
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    old = signing.keys()[0].public
    settings.AUDIT_SIGNING_KEYS = {2: b"2" * 32, **settings.AUDIT_SIGNING_KEYS}
    signing.keys.cache_clear()
    evidence.prove_all()
    evidence.seal_all()
    evidence.prove_all()
    new = signing.keys()[0].public
    name = signing.origin(organization.pk)
    checkpoint = reading.newest(organization.pk, "owner")
    assert checkpoint is not None
    assert _verified(checkpoint.note, name, old)
    assert _verified(checkpoint.note, name, new)
    [_, second] = reading.signing_keys("owner")
    assert second.public == new
    assert _verified(second.announcement, "dotenv.example.com/audit/keys", old)
    for key in (organization.pk, ulid.NIL):
        [entry] = Entry.objects.using("owner").filter(organization_id=key, action="rotate")
        assert (entry.resource_type, entry.resource_label) == ("signing_key", "2")
        assert entry.context == {
            "old_vkey": notes.vkey(signing.origin(key), old),
            "new_vkey": notes.vkey(signing.origin(key), new),
        }
    # The end of the overlap: nothing more to say.
    settings.AUDIT_SIGNING_KEYS = {2: b"2" * 32}
    signing.keys.cache_clear()
    evidence.prove_all()
    evidence.seal_all()
    assert evidence.prove_all().entries == 0


def test_another_key_under_a_known_number_is_refused(
    organization: Organization, owner_connection: Connection, settings: Any
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    settings.AUDIT_SIGNING_KEYS = {1: b"x" * 32}
    signing.keys.cache_clear()
    ProjectFactory.create(organization=organization)
    evidence.seal_all()
    said = io.StringIO()
    with pytest.raises(CommandError, match="Not everything was signed"):
        call_command("audit_evidence", "--once", stdout=io.StringIO(), stderr=said)
    assert "Nothing is signed: audit: signing key 1 is another one than before" in said.getvalue()
    # Trees grow all the same, under the checkpoints of before.
    size, _ = evidence.size_and_root(owner_connection, organization.pk)
    checkpoint = reading.newest(organization.pk, "owner")
    assert checkpoint is not None
    assert checkpoint.size < size


def test_without_a_key_trees_grow_and_nothing_is_signed(
    organization: Organization, owner_connection: Connection, settings: Any
) -> None:
    settings.AUDIT_SIGNING_KEYS = {}
    evidence.seal_all()
    said = io.StringIO()
    call_command("audit_evidence", "--once", stdout=io.StringIO(), stderr=said)
    assert "AUDIT_SIGNING_KEYS is not set" in said.getvalue()
    assert evidence.size_and_root(owner_connection, organization.pk)[0] > 0
    assert reading.newest(organization.pk, "owner") is None


def test_a_log_from_before_there_was_evidence_says_since_when_it_has_some(
    owner_connection: Connection,
) -> None:
    old, new = uuid.uuid4(), uuid.uuid4()
    since = clock.now() - dt.timedelta(days=2)
    log = seeding.Organization(old, 1)
    seeding.receive(owner_connection, log.rows(30, since, since + dt.timedelta(hours=1)))
    now = clock.now()
    seeding.receive(
        owner_connection,
        seeding.Organization(new, 1).rows(3, now - dt.timedelta(minutes=1), now),
    )
    for _ in range(2):
        evidence.seal_all()
        evidence.prove_all()
    [entry] = Entry.objects.using("owner").filter(action="evidence_began", organization_id=old)
    first = owner_connection.execute(
        "SELECT note FROM audit_checkpoint WHERE organization_id = %s ORDER BY size LIMIT 1", [old]
    ).fetchone()
    assert first is not None
    assert entry.context == {"size": 30, "root": first[0].split("\n")[2]}
    assert entry.seq == 31
    assert not Entry.objects.using("owner").filter(action="evidence_began", organization_id=new)


def test_checkpoints_are_thinned_and_those_given_away_are_kept(
    organization: Organization, owner_connection: Connection, superuser_connection: Connection
) -> None:
    sizes = []
    for number in range(4):
        ProjectFactory.create(organization=organization)
        evidence.seal_all()
        evidence.prove_all()
        found = reading.newest(organization.pk, "owner")
        assert found is not None
        sizes.append(found.size)
        if number == 2:
            with transaction.atomic():
                tenant_scope.enter([organization.pk])
                reading.keep(found)
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_checkpoint SET signed_at = signed_at - interval '1 hour'"
        )
    ProjectFactory.create(organization=organization)
    evidence.seal_all()
    evidence.prove_all()
    kept = [
        size
        for (size,) in owner_connection.execute(
            "SELECT size FROM audit_checkpoint WHERE organization_id = %s ORDER BY 1",
            [organization.pk],
        )
    ]
    assert [size for size in kept if size <= sizes[-1]] == [sizes[0], sizes[2]]


# -- Nothing changes a leaf


def test_packing_and_merging_change_no_leaf(owner_connection: Connection) -> None:
    organization = uuid.uuid4()
    log = seeding.Organization(organization, 1)
    months = [dt.datetime(1998, month, 3, tzinfo=dt.UTC) for month in (2, 3, 4)]
    rows = [row for each in months for row in log.rows(150, each, each + dt.timedelta(days=20))]
    seeding.seal(owner_connection, rows)
    evidence.prove_all()
    before = evidence.tiles(owner_connection, organization)
    call_command("audit_pack", stdout=io.StringIO())
    evidence.assert_made_at_once(owner_connection, organization)
    assert evidence.tiles(owner_connection, organization)[:450] == before
    assert len(_shown(organization, 450)) == 450


def test_another_label_of_an_action_changes_no_leaf(
    owner_connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    organization = uuid.uuid4()
    seeding.receive(owner_connection, made_up(organization, 20))
    evidence.seal_all()
    evidence.prove_all()
    before = [each.line() for each in _shown(organization, 20)]
    renamed = {name: replace(each, label="did") for name, each in policy._ACTIONS.items()}
    monkeypatch.setattr(policy, "_ACTIONS", renamed)
    bulk_json._action.cache_clear()
    assert [each.line() for each in _shown(organization, 20)] == before
    evidence.assert_made_at_once(owner_connection, organization)
    bulk_json._action.cache_clear()


def _shown(organization: uuid.UUID, upto: int) -> list[reading.Leaf]:
    with transaction.atomic():
        tenant_scope.enter([organization])
        return list(reading.leaves(organization, 0, upto))


def test_an_altered_row_is_not_shown(
    organization: Organization, superuser_connection: Connection, owner_connection: Connection
) -> None:
    ProjectFactory.create(organization=organization)
    evidence.seal_all()
    evidence.prove_all()
    size = evidence.size_and_root(owner_connection, organization.pk)[0]
    assert len(_shown(organization.pk, size)) == size
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_ledger SET actor_label = 'somebody else' WHERE organization_id = %s"
            " AND seq = 2",
            [organization.pk],
        )
    with pytest.raises(reading.MismatchError, match="entry 2 does not give the hash"):
        _shown(organization.pk, size)


def test_a_log_with_a_number_that_is_gone_is_left_out_and_the_others_go_on(
    organization: Organization, superuser_connection: Connection, owner_connection: Connection
) -> None:
    other = OrganizationFactory.create()
    evidence.seal_all()
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "DELETE FROM audit_ledger WHERE organization_id = %s AND seq = 2", [organization.pk]
        )
    # However much of it waits, it takes no room from others.
    worker = writing.Worker()
    for _ in range(6):
        worker.round(5)
    assert evidence.size_and_root(owner_connection, other.pk)[0] > 0
    said = io.StringIO()
    with pytest.raises(CommandError, match="left out"):
        call_command("audit_evidence", "--once", stdout=io.StringIO(), stderr=said)
    assert "entry 2 is not in the ledger" in said.getvalue()
    assert evidence.size_and_root(owner_connection, organization.pk)[0] == 0
    assert evidence.size_and_root(owner_connection, other.pk)[0] > 0


def test_a_dump_restored_elsewhere_has_the_same_evidence(
    organization: Organization, databases: Databases, owner_connection: Connection
) -> None:
    for _ in range(300):
        ProjectFactory.create(organization=organization)
    evidence.seal_all()
    evidence.prove_all()
    before = evidence.size_and_root(owner_connection, organization.pk)
    binaries = connections_binaries()
    dump = subprocess.run(
        [binaries / "pg_dump", "--no-owner", "--no-privileges", databases.superuser],
        capture_output=True,
        check=True,
    ).stdout
    name = f"restored_{os.getpid()}"
    with psycopg.connect(databases.superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        try:
            url = psycopg.conninfo.make_conninfo(databases.superuser, dbname=name)
            subprocess.run(
                [binaries / "psql", "--quiet", "--set=ON_ERROR_STOP=1", url],
                input=dump,
                capture_output=True,
                check=True,
            )
            with psycopg.connect(url) as restored:
                assert evidence.size_and_root(restored, organization.pk) == before
                evidence.assert_made_at_once(restored, organization.pk)
        finally:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def connections_binaries() -> Path:
    from django.conf import settings

    if settings.EMBEDDED_SERVER is None:
        pytest.skip("the programs of the server are not known")
    if not (settings.EMBEDDED_SERVER.binaries / "psql").exists():
        pytest.skip("the server has no psql")
    return Path(settings.EMBEDDED_SERVER.binaries)


# -- Who may do what


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_tile SET hashes = hashes",
        "DELETE FROM audit_tile",
        "TRUNCATE audit_tile",
        "INSERT INTO audit_tile VALUES (gen_random_uuid(), 0, 0, 0, '')",
        "UPDATE audit_salt SET salts = salts",
        "DELETE FROM audit_salt",
        "UPDATE audit_block SET root = root",
        "DELETE FROM audit_block",
        "UPDATE audit_head SET size = size + 1",
        "DELETE FROM audit_head",
        "UPDATE audit_checkpoint SET note = 'another'",
        "DELETE FROM audit_checkpoint",
        "DELETE FROM audit_leaf_kept",
        "UPDATE audit_signing_key SET public_key = public_key",
        "DELETE FROM audit_signing_key",
        "UPDATE audit_proving SET proved_to = now()",
        "SELECT audit_extend('[]', '[]', '[]', '[]')",
        "SELECT audit_sign('[]')",
        "SELECT audit_announce_key(9, ''::bytea, '')",
        "SELECT audit_proved(now(), true, true, 0, '')",
        "SELECT * FROM audit_signed_heads()",
        "SELECT audit_tile_hashes(gen_random_uuid(), 0::smallint, 0)",
        "SELECT * FROM audit_unproved(1)",
        "SELECT * FROM audit_entries_to_prove('{}', '{}', '{}', '{}')",
    ],
)
def test_the_application_role_cannot(application_connection: Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        application_connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM audit_ledger",
        "UPDATE audit_tile SET hashes = hashes",
        "INSERT INTO audit_head (organization_id, size, edge, index_edge) VALUES"
        " (gen_random_uuid(), 1, '', '')",
        "DELETE FROM audit_checkpoint",
        "SELECT audit_keep_checkpoint(gen_random_uuid(), 1)",
    ],
)
def test_the_sealer_role_cannot(sealer_connection: Connection, statement: str) -> None:
    with pytest.raises(errors.InsufficientPrivilege):
        sealer_connection.execute(statement)  # type: ignore[call-overload]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit_tile SET hashes = hashes",
        "DELETE FROM audit_tile WHERE octet_length(hashes) = 8192",
        "TRUNCATE audit_tile",
        "UPDATE audit_salt SET salts = decode(repeat('00', octet_length(salts)), 'hex')",
        "DELETE FROM audit_salt WHERE octet_length(salts) = 4096",
        "DELETE FROM audit_block",
        "UPDATE audit_head SET size = size - 1",
        "UPDATE audit_head SET edge = index_edge",
        "DELETE FROM audit_head",
        "UPDATE audit_checkpoint SET note = 'another'",
        "DELETE FROM audit_checkpoint WHERE is_kept",
        "DELETE FROM audit_signing_key",
    ],
)
def test_not_even_the_owner_can_by_accident(owner_connection: Connection, statement: str) -> None:
    seeding.receive(owner_connection, made_up(uuid.uuid4(), 300))
    evidence.seal_all()
    evidence.prove_all()
    with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
        owner_connection.execute(statement)  # type: ignore[call-overload]


def test_the_worker_can_only_add_what_follows(
    organization: Organization, sealer_connection: Connection, owner_connection: Connection
) -> None:
    evidence.seal_all()
    evidence.prove_all()
    size, _ = evidence.size_and_root(owner_connection, organization.pk)
    for before, after in ((size - 1, size), (size, size + 1), (0, 1), (size, size)):
        with pytest.raises(errors.SerializationFailure, match="not where they were"):
            sealer_connection.execute(
                "SELECT audit_extend(%s, '[]', '[]', '[]')",
                [json.dumps([[str(organization.pk), before, after, "", ""]])],
            )


@pytest.mark.parametrize("table", ["tile", "salt", "block", "head", "checkpoint", "leaf_kept"])
def test_a_tenant_sees_its_own_evidence_alone(
    organization: Organization,
    superuser_connection: Connection,
    owner_connection: Connection,
    application_connection: Connection,
    table: str,
) -> None:
    other = uuid.uuid4()
    for key in (organization.pk, other):
        seeding.receive(owner_connection, made_up(key, 300))
    evidence.seal_all()
    evidence.prove_all()
    superuser_connection.execute(
        "INSERT INTO audit_leaf_kept VALUES (%s, 1, ''), (%s, 1, '')", [organization.pk, other]
    )
    read = f"SELECT DISTINCT organization_id FROM audit_{table}"
    assert application_connection.execute(read).fetchall() == []  # type: ignore[call-overload]
    for key in (organization.pk, other):
        with application_connection.transaction():
            application_connection.execute(
                "SELECT set_config('audit.organizations', %s, true)", [str(key)]
            )
            assert application_connection.execute(read).fetchall() == [(key,)]  # type: ignore[call-overload]


def test_only_one_worker_works_at_a_time(databases: Databases) -> None:
    with psycopg.connect(databases.sealer, autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(%s)", [Lock.EVIDENCE])
        with pytest.raises(CommandError, match="another worker is making evidence"):
            call_command("audit_evidence", "--once")
    connections["sealer"].close()


def test_proofs_lead_from_leaves_and_smaller_logs_to_the_root(
    owner_connection: Connection,
) -> None:
    organization = uuid.uuid4()
    seeding.receive(owner_connection, made_up(organization, 600))
    evidence.seal_all()
    evidence.prove_all()
    hashes = evidence.tiles(owner_connection, organization)
    nodes = reading.Tree(organization, "owner")
    for size in (1, 2, 7, 255, 256, 257, 600):
        root = tree.root_of(hashes[:size])
        for number in {0, 1, size // 2, size - 1} & set(range(size)):
            path = tree.inclusion(nodes, number, size)
            assert _root_by_path(hashes[number], number, size, path) == root
        for old in {0, 1, size // 3, size - 1, size}:
            path = tree.consistency(nodes, old, size)
            assert _roots_by_consistency(old, size, path, tree.root_of(hashes[:old]), root)


def _root_by_path(leaf_hash: bytes, number: int, size: int, path: list[bytes]) -> bytes:
    """RFC 9162 §2.1.3.2."""
    fn, sn, found = number, size - 1, leaf_hash
    for each in path:
        assert sn > 0
        if fn & 1 or fn == sn:
            found = tree.node_hash(each, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = tree.node_hash(found, each)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return found


def _roots_by_consistency(
    old: int, size: int, path: list[bytes], old_root: bytes, root: bytes
) -> bool:
    """RFC 9162 §2.1.4.2."""
    if old in (0, size):
        return not path and (old == 0 or old_root == root)
    if old & (old - 1) == 0:
        path = [old_root, *path]
    fn, sn = old - 1, size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = path[0]
    for each in path[1:]:
        if fn & 1 or fn == sn:
            fr, sr = tree.node_hash(each, fr), tree.node_hash(each, sr)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = tree.node_hash(sr, each)
        fn, sn = fn >> 1, sn >> 1
    return fr == old_root and sr == root and sn == 0


# -- The service's own check


def verified(*arguments: str) -> tuple[str, str]:
    said, wrong = io.StringIO(), io.StringIO()
    with contextlib.suppress(CommandError):
        call_command("audit_verify", *arguments, stdout=said, stderr=wrong)
    return said.getvalue(), wrong.getvalue()


@pytest.fixture
def proved(owner_connection: Connection) -> uuid.UUID:
    """A log of more than two blocks, with evidence."""
    organization = uuid.uuid4()
    seeding.receive(owner_connection, made_up(organization, 600))
    evidence.seal_all()
    evidence.prove_all()
    return organization


def test_a_sound_log_is_verified_and_that_is_recorded(
    proved: uuid.UUID, owner_connection: Connection
) -> None:
    logs_and_entries = owner_connection.execute(
        "SELECT count(*), sum(size) FROM audit_head"
    ).fetchone()
    assert logs_and_entries is not None
    number, total = logs_and_entries
    said, wrong = verified("--all")
    trees = "tree" if number == 1 else "trees"
    assert said == f"Checked {number} {trees} and {total} entries.\n"
    assert wrong == ""
    [entry] = Entry.objects.using("owner").filter(action="verify", organization_id=ulid.NIL)
    assert (entry.result, entry.context["count"]) == ("success", total)


def test_thirty_nights_check_every_entry(proved: uuid.UUID) -> None:
    each = [verifying.verify("owner", part).entries for part in range(verifying.PARTS)]
    assert sum(each) == verifying.verify("owner").entries
    assert max(each) <= 2 * 256


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit_ledger SET action = 'read' WHERE seq = 300", "entry 300 does not give"),
        (
            "DELETE FROM audit_tile WHERE level = 0 AND n = 1",
            "audit_tile lacks some of entries 257 to 512",
        ),
        (
            "UPDATE audit_tile SET hashes = overlay(hashes PLACING '\\x00' FROM 40)"
            " WHERE level = 0 AND n = 0",
            "tile 0/0 is not what the tile above it was made of",
        ),
        (
            "UPDATE audit_block SET keys = keys + 1 WHERE n = 1",
            "the index up to block 1 does not have its root",
        ),
        ("DELETE FROM audit_block WHERE n = 1", "the index has 1 blocks of 2"),
        (
            "UPDATE audit_checkpoint SET note = replace(note, E'\\n600\\n', E'\\n599\\n')",
            "the checkpoint of 600 entries is not signed by a known key",
        ),
        (
            "UPDATE audit_head SET size = 512, signed = 512, edge = substr(edge, 1, 32)",
            "a checkpoint of 600 entries was signed, and the tree has 512",
        ),
        (
            "UPDATE audit_salt SET salts = set_byte(salts, 0, get_byte(salts, 0) # 1)",
            "entry 1 does not",
        ),
    ],
)
def test_what_was_changed_is_found(
    proved: uuid.UUID, superuser_connection: Connection, statement: str, said: str
) -> None:
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        word = " AND" if " WHERE " in statement else " WHERE"
        superuser_connection.execute(
            f"{statement}{word} organization_id = %s",  # type: ignore[arg-type]
            [proved],
        )
    _, wrong = verified("--all")
    assert said in wrong
    [entry] = Entry.objects.using("owner").filter(action="verify", organization_id=ulid.NIL)
    assert entry.result == "failed"
