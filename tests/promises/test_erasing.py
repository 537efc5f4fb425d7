"""Erasing: what is erased is in no table, index or dump, and everything that was signed, shown or
given away before still verifies."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import uuid
import zipfile
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import transaction
from psycopg import errors

from audit.context import command
from audit.evidence import leaf, notes, reading, signing, verifying
from audit.export import formats, packs
from audit.models import Entry
from audit.questions import reading as recordings
from audit.questions import tenant_scope
from audit.questions.provable import EVER, Provable
from audit.retention import erasures_remembered
from dotenv_cloud import verifier
from dotenv_cloud.cli.evidence_verify import Trust
from organizations import ulid
from organizations.models import Organization
from tests import evidence
from tests.conftest import Connection, Databases
from tests.factories import OrganizationFactory
from tests.promises.test_evidence import connections_binaries, no_keys_left_over

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

__all__ = ["no_keys_left_over"]

ADDRESS = "wanda.erased@example.com"
AGENT = "Unusual-Browser/7.7"
IP = "198.51.100.77"


@pytest.fixture(autouse=True)
def nothing_remembered() -> None:
    erasures_remembered.path().unlink(missing_ok=True)


def entered(connection: Connection, organization: Organization, **columns: Any) -> None:
    """One entry, sealed and signed."""
    values = {
        "organization_id": organization.pk,
        "actor_type": "user",
        "actor_id": uuid.uuid4(),
        "actor_label": "dev@example.com",
        "action": "update",
        "resource_type": "project",
        "resource_id": uuid.uuid4(),
        "resource_label": "shop",
        "interface": "web",
        "ip": "203.0.113.5",
        "user_agent": "Firefox",
        "changes": "{}",
        "context": "{}",
    } | columns
    connection.execute(
        f"INSERT INTO audit_inbox ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))})",  # type: ignore[arg-type]
        list(values.values()),
    )


def erase(organization: Organization | None, *arguments: str) -> str:
    said = io.StringIO()
    name = [organization.slug] if organization else []
    by = [] if "--again" in arguments else ["--reason", "request 7", "--by", "the data officer"]
    call_command("audit_erase", *name, *arguments, *by, stdout=said, stderr=said)
    return said.getvalue()


def sealed() -> None:
    evidence.seal_all()
    evidence.prove_all()


def row(connection: Connection, organization: Organization, seq: int) -> tuple[Any, ...]:
    found = connection.execute(
        "SELECT actor_label, host(ip), user_agent, request_id, resource_label, changes, context,"
        " erased_parts FROM audit_ledger WHERE organization_id = %s AND seq = %s",
        [organization.pk, seq],
    ).fetchone()
    assert found is not None
    return found


def line(organization: Organization, seq: int) -> bytes:
    with transaction.atomic():
        tenant_scope.enter([organization.pk])
        [found] = reading.leaves(organization.pk, seq - 1, seq)
        return found.line()


def proof(organization: Organization, seq: int) -> bytes:
    with transaction.atomic():
        tenant_scope.enter([organization.pk])
        checkpoint = reading.newest(organization.pk)
        assert checkpoint is not None
        [found] = reading.leaves(organization.pk, seq - 1, seq)
        return reading.proof_of(found, checkpoint).encode()


def trust(organization: Organization) -> Trust:
    vkeys = [
        notes.vkey(signing.origin(organization.pk), key.public)
        for key in reading.signing_keys("owner")
    ]
    return Trust([verifier.Key.parse(vkey) for vkey in vkeys], [])


def verified(organization: Organization, content: bytes, directory: Path, **options: Any) -> Any:
    path = directory / f"{uuid.uuid4().hex}.evidence"
    path.write_bytes(content)
    return verifier.verify(path, trust(organization), **options)


def pack(organization: Organization, proved: Provable | None = None) -> bytes:
    """A range, or the filter of one key."""
    with command(["manage.py", "test"]), transaction.atomic():
        recordings.record_export(organization, None, packs.FORMAT)
    sealed()
    with command(["manage.py", "test"]), transaction.atomic():
        tenant_scope.enter([organization.pk])
        checkpoint = reading.newest(organization.pk)
        assert checkpoint is not None
        made = packs.Pack(organization, None, checkpoint, checkpoint.size, proved)
    return b"".join(made)


@pytest.fixture
def log(owner_connection: Connection, organization: Organization) -> uuid.UUID:
    """A log in which one entry is wanda's, and one is about her; returns her id."""
    wanda = uuid.uuid4()
    entered(owner_connection, organization)
    entered(
        owner_connection,
        organization,
        actor_id=wanda,
        actor_label=ADDRESS,
        ip=IP,
        user_agent=AGENT,
        request_id=uuid.uuid4(),
        action="update",
        resource_label="shop-new",
        changes=json.dumps({"slug": ["shop-old", "shop-new"]}),
    )
    entered(
        owner_connection,
        organization,
        resource_type="user",
        resource_id=wanda,
        resource_label=ADDRESS,
        action="update",
        changes=json.dumps({"email": ["wanda.before@example.com", ADDRESS]}),
        context=json.dumps({"reason": "moved"}),
    )
    sealed()
    return wanda


def last(connection: Connection, organization: Organization) -> int:
    found = connection.execute(
        "SELECT size FROM audit_log WHERE organization_id = %s", [organization.pk]
    ).fetchone()
    assert found is not None
    return int(found[0])


def dump(databases: Databases, *options: str) -> str:
    return subprocess.run(
        [connections_binaries() / "pg_dump", *options, databases.superuser],
        capture_output=True,
        check=True,
        text=True,
    ).stdout


def test_what_is_erased_is_in_no_table_index_or_dump(
    owner_connection: Connection,
    superuser_connection: Connection,
    organization: Organization,
    log: uuid.UUID,
    databases: Databases,
) -> None:
    assert ADDRESS in dump(databases)
    said = erase(organization, "--actor", ulid.to_text(log))
    assert "Erased parts of 2 entries" in said
    dumped = dump(databases)
    for gone in (ADDRESS, "wanda.before", IP, AGENT):
        assert gone not in dumped, gone
    # Nor as dead rows, which only the server sees.
    superuser_connection.execute("SELECT pg_stat_force_next_flush()")
    vacuumed = {
        name
        for (name,) in superuser_connection.execute(
            "SELECT relname FROM pg_stat_user_tables WHERE last_vacuum IS NOT NULL"
        ).fetchall()
    }
    assert {"audit_label", "audit_place", "audit_salt"} < vacuumed
    assert any(name.startswith("audit_ledger_") for name in vacuumed)
    # The same again changes nothing.
    assert "Nothing to erase" in erase(organization, "--actor", ulid.to_text(log))


@pytest.mark.parametrize("parts", [["--parts", "detail"], ["--leaf"]])
def test_a_former_name_goes_with_the_entry_that_says_it(
    owner_connection: Connection,
    organization: Organization,
    log: uuid.UUID,
    databases: Databases,
    parts: list[str],
) -> None:
    entered(
        owner_connection,
        organization,
        resource_type="user",
        resource_id=log,
        resource_label=ADDRESS,
        changes=json.dumps({"name": ["Wanda Before", "Wanda After"]}),
    )
    sealed()
    number = str(last(owner_connection, organization))
    # What it is called goes first, so that nothing else of the entry leads to the person's name.
    erase(organization, "--seq", number, "--parts", "resource")
    assert "Wanda Before" in dump(databases)
    erase(organization, "--seq", number, *parts)
    dumped = dump(databases)
    assert "Wanda Before" not in dumped
    assert "Wanda After" not in dumped


def test_any_reason_can_be_remembered(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    number, reason = str(last(owner_connection, organization)), "request\u2028seven"
    call_command(
        "audit_erase",
        *(organization.slug, "--seq", number, "--reason", reason, "--by", "counsel"),
        stdout=io.StringIO(),
        stderr=io.StringIO(),
    )
    [remembered] = erasures_remembered.read()
    assert remembered.reason == reason
    assert erase(None, "--again") == "Everything that was erased still is.\n"


def lines_of(content: bytes) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(content)) as members:
        return members.read("entries/000000000000.ndjson").splitlines()


def test_old_and_new_checkpoints_proofs_and_packs_hold(
    owner_connection: Connection, organization: Organization, log: uuid.UUID, tmp_path: Path
) -> None:
    her, about = last(owner_connection, organization) - 1, last(owner_connection, organization)
    before = line(organization, her)
    old_proof, old_pack = proof(organization, her), pack(organization)
    hashes = evidence.tiles(owner_connection, organization.pk)
    erase(organization, "--actor", ulid.to_text(log))
    sealed()
    # What was there is nowhere, and no leaf is another one.
    assert row(owner_connection, organization, her)[:4] == ("", None, "", None)
    assert row(owner_connection, organization, about)[4:] == ("", {}, {}, 4 | 8)
    assert evidence.tiles(owner_connection, organization.pk)[: len(hashes)] == hashes
    assert not verifying.verify("owner").findings
    # What was given away before holds, and so does what is given away now, with less in it.
    report = verified(organization, old_proof, tmp_path)
    assert report.entry.seq == her
    verified(organization, old_pack, tmp_path)
    report = verified(organization, proof(organization, her), tmp_path)
    assert report.entry.redacted == (0, 1)
    shown = lines_of(pack(organization))
    assert not any(ADDRESS.encode() in each or IP.encode() in each for each in shown)
    report = verified(organization, pack(organization), tmp_path)
    # Its leaf is the same, and the parts that stay are shown as they were.
    leaf_before, *_, detail, _ = before.split(b",\t")
    leaf_after, *_, detail_after, salts = line(organization, her).split(b",\t")
    assert (leaf_before, detail) == (leaf_after, detail_after)
    assert salts.startswith(b'"salts":[null,null,"')


def test_one_part_after_the_other_can_be_erased_and_then_the_leaf(
    owner_connection: Connection, organization: Organization, log: uuid.UUID, tmp_path: Path
) -> None:
    her = last(owner_connection, organization) - 1
    hashes = evidence.tiles(owner_connection, organization.pk)
    for parts, hidden in (("actor", (0,)), ("origin", (0, 1)), ("detail", (0, 1, 3))):
        erase(organization, "--seq", str(her), "--parts", parts)
        sealed()
        report = verified(organization, proof(organization, her), tmp_path)
        assert report.entry.redacted == hidden
    # The former path was of what changed, and is in the leaf all the same.
    assert b'"was":"shop-old"' in line(organization, her)
    kept = owner_connection.execute(
        "SELECT part FROM audit_salt_kept WHERE organization_id = %s AND seq = %s",
        [organization.pk, her],
    ).fetchall()
    assert kept == [(2,)]
    erase(organization, "--seq", str(her), "--leaf")
    sealed()
    known = evidence.tiles(owner_connection, organization.pk)
    assert known[: len(hashes)] == hashes
    assert line(organization, her) == leaf.withheld(hashes[her - 1])
    report = verified(organization, pack(organization), tmp_path)
    for table in ("audit_salt_kept", "audit_leaf_kept"):
        assert (
            b"shop-old"
            not in str(
                owner_connection.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[arg-type]
            ).encode()
        )
    assert not verifying.verify("owner").findings


def test_an_answer_by_the_index_still_is_complete(
    owner_connection: Connection, organization: Organization, log: uuid.UUID, tmp_path: Path
) -> None:
    """Withheld and erased while the block was growing, and again when it was full."""
    her = last(owner_connection, organization) - 1
    erase(organization, "--seq", str(her), "--leaf")
    erase(organization, "--seq", str(her + 1), "--parts", "detail")
    for _ in range(300):
        entered(owner_connection, organization, actor_id=log, actor_label=ADDRESS)
    sealed()
    key = f"actor\nuser\n{ulid.to_text(log)}"
    question = verifier.Question((frozenset({key}),), *EVER)
    erase(organization, "--seq", "20", "--leaf")
    sealed()
    content = pack(organization, Provable((key,), *EVER))
    report = verified(organization, content, tmp_path, question=question, as_of=True)
    assert len(report.withheld) == 2
    assert not report.gaps
    assert not verifying.verify("owner").findings


def test_every_list_says_what_was_erased(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    her = last(owner_connection, organization) - 1
    erase(organization, "--actor", ulid.to_text(log))
    with transaction.atomic():
        tenant_scope.enter([organization.pk])
        entries = Entry.objects.visible([organization.pk])  # type: ignore[attr-defined]
        [entry] = entries.filter(seq=her)
        assert entry.erased == ["actor", "origin"]
        written = {name: "".join(formats.written(name, entries)) for name in formats.FORMATS}
    assert not any(ADDRESS in text or IP in text for text in written.values())
    [of_her] = [
        each for each in map(json.loads, written["ndjson"].splitlines()) if each["seq"] == her
    ]
    assert of_her["erased"] == ["actor", "origin"]
    [of_her] = [
        each for each in csv.DictReader(io.StringIO(written["csv"])) if each["seq"] == str(her)
    ]
    assert of_her["erased"] == "actor origin"
    assert '"erased":["resource","detail"]' in written["ocsf"]


def test_an_erasure_has_an_entry_which_the_database_makes(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    first = last(owner_connection, organization) - 2
    erase(organization, "--seq", f"{first}, {first + 1}-{first + 1}", "--parts", "actor,origin")
    sealed()
    found = owner_connection.execute(
        "SELECT context, seq FROM audit_ledger WHERE organization_id = %s AND action = 'erase'",
        [organization.pk],
    ).fetchone()
    assert found is not None
    assert found[0] == {
        "command": "audit_erase",
        "count": 2,
        "numbers": f"{first}-{first + 1}",
        "parts": "actor, origin",
        "reason": "request 7",
        "requested_by": "the data officer",
    }
    # What it says cannot be erased itself.
    for parts in (["--parts", "detail"], ["--leaf"]):
        with pytest.raises(CommandError, match="is about the log itself"):
            erase(organization, "--seq", str(found[1]), *parts)
    erase(organization, "--seq", str(found[1]), "--parts", "origin")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seq", "9999"], "there is no entry 9,999"),
        (["--seq", "1", "--parts", "name"], "'name' is not a part"),
        (["--seq", "1", "--parts", "actor", "--leaf"], "leave out --parts"),
        (["--seq", "five"], "'five' is not a number"),
        (["--actor", "wanda"], "'wanda' is not an id"),
    ],
)
def test_what_cannot_be_erased_is_refused(
    organization: Organization, log: uuid.UUID, arguments: list[str], said: str
) -> None:
    with pytest.raises(CommandError, match=said):
        erase(organization, *arguments)


def test_a_path_is_in_the_leaf(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    her = str(last(owner_connection, organization) - 1)
    with pytest.raises(CommandError, match="whose path is in the leaf itself; only --leaf"):
        erase(organization, "--seq", her, "--parts", "resource")


def test_what_is_not_in_the_evidence_yet_is_not_erased(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    entered(owner_connection, organization)
    evidence.seal_all()
    with pytest.raises(CommandError, match="is not in the evidence yet"):
        erase(organization, "--seq", str(last(owner_connection, organization)))


def test_a_person_is_erased_once_all_that_is_theirs_is_sealed(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    view = uuid.uuid4()
    entered(
        owner_connection,
        organization,
        resource_type="saved_view",
        resource_id=view,
        resource_label="What Wanda watches",
        action="create",
        changes=json.dumps({"user_id": [None, ulid.to_text(log)]}),
    )
    with pytest.raises(CommandError, match="1 entry of this person is not sealed yet"):
        erase(organization, "--actor", ulid.to_text(log))
    sealed()
    seq = last(owner_connection, organization)
    erase(organization, "--actor", ulid.to_text(log))
    assert row(owner_connection, organization, seq)[4] == ""


def test_a_legal_hold_refuses_it(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    call_command(
        "audit_hold",
        "place",
        organization.slug,
        "--reason",
        "case 4",
        "--by",
        "counsel",
        stdout=io.StringIO(),
    )
    with pytest.raises(CommandError, match="under legal hold .* counsel: case 4"):
        erase(organization, "--actor", ulid.to_text(log))
    with pytest.raises(errors.CheckViolation, match="under legal hold"):
        owner_connection.execute(
            "INSERT INTO audit_erasure (organization_id, seq, part, commitment, reason,"
            " requested_by) VALUES (%s, 1, 0, %s, 'x', 'x')",
            [organization.pk, bytes(32)],
        )
    call_command(
        "audit_hold",
        "lift",
        organization.slug,
        "--reason",
        "over",
        "--by",
        "counsel",
        stdout=io.StringIO(),
    )
    erase(organization, "--actor", ulid.to_text(log))


def test_names_that_others_have_too_stay(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    entered(owner_connection, organization, actor_id=log, actor_label=ADDRESS)
    asked = json.dumps({"filters": f"actor={ADDRESS}"})
    entered(owner_connection, organization, action="view", context=asked)
    sealed()
    labels = "SELECT kind FROM audit_label WHERE organization_id = %s AND label = %s ORDER BY 1"
    her = last(owner_connection, organization) - 3
    erase(organization, "--seq", str(her))
    found = owner_connection.execute(labels, [organization.pk, ADDRESS]).fetchall()
    assert found == [("actor",), ("resource",)]
    erase(organization, "--seq", str(her + 2))
    found = owner_connection.execute(labels, [organization.pk, ADDRESS]).fetchall()
    assert found == [("resource",)]
    said = erase(organization, "--actor", ulid.to_text(log))
    assert owner_connection.execute(labels, [organization.pk, ADDRESS]).fetchall() == []
    assert f"is still in other parts of entries {her + 3};" in said


OWNER_CANNOT = (
    "UPDATE audit_ledger SET actor_label = '' WHERE seq = 1",
    "UPDATE audit_ledger SET erased_parts = 1, actor_label = '' WHERE seq = 1",
    "UPDATE audit_salt SET salts = decode(repeat('00', octet_length(salts)), 'hex')",
    "DELETE FROM audit_erasure",
    "UPDATE audit_erasure SET reason = 'none'",
    "DELETE FROM audit_salt_kept",
    "UPDATE audit_salt_kept SET salt = decode(repeat('00', 16), 'hex')",
)


@pytest.mark.parametrize("statement", OWNER_CANNOT)
def test_nothing_else_can_be_changed_by_the_way(
    owner_connection: Connection, organization: Organization, log: uuid.UUID, statement: str
) -> None:
    her = last(owner_connection, organization) - 1
    erase(organization, "--seq", str(her), "--parts", "actor")
    with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
        owner_connection.execute(statement)
    with pytest.raises(errors.InsufficientPrivilege, match="is refused"):
        owner_connection.execute(
            "UPDATE audit_ledger SET user_agent = 'other' WHERE organization_id = %s AND seq = %s",
            [organization.pk, her],
        )


@pytest.mark.parametrize("role", ["application", "sealer"])
def test_only_the_owner_erases(request: pytest.FixtureRequest, role: str) -> None:
    connection = request.getfixturevalue(f"{role}_connection")
    for statement in (
        "INSERT INTO audit_erasure (seq) VALUES (1)",
        "DELETE FROM audit_salt_kept",
        "UPDATE audit_ledger SET erased_parts = 1",
    ):
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(statement)


def test_a_tenant_sees_only_its_own_erasures(
    application_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    erase(organization, "--actor", ulid.to_text(log))
    other = OrganizationFactory.create()
    counts = "SELECT (SELECT count(*) FROM audit_erasure), (SELECT count(*) FROM audit_salt_kept)"
    for key, expected in ((organization.pk, (4, 4)), (other.pk, (0, 0))):
        application_connection.execute(
            "SELECT set_config('audit.organizations', %s, false)", [str(key)]
        )
        assert application_connection.execute(counts).fetchone() == expected


def test_after_a_restore_it_is_erased_again(
    owner_connection: Connection,
    superuser_connection: Connection,
    organization: Organization,
    log: uuid.UUID,
) -> None:
    tables = ("audit_ledger", "audit_salt", "audit_label")
    backup = {
        table: superuser_connection.execute(f"SELECT * FROM {table}").fetchall()  # type: ignore[arg-type]
        for table in tables
    }
    erase(organization, "--actor", ulid.to_text(log))
    said = erase(None, "--again")
    assert said == "Everything that was erased still is.\n"
    remembered = erasures_remembered.path().read_text()
    assert ADDRESS not in remembered
    assert remembered.count("\n") == 2
    # The database as the backup has it, which knows of no erasure.
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        for table in ("audit_erasure", "audit_salt_kept", "audit_leaf_kept", *tables):
            superuser_connection.execute(f"DELETE FROM {table}")  # type: ignore[arg-type]
        for table, rows in backup.items():
            columns = [
                name
                for (name,) in superuser_connection.execute(
                    "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0"
                    " AND NOT attisdropped ORDER BY attnum",
                    [table],
                ).fetchall()
            ]
            for values in rows:
                shown = [
                    (name, json.dumps(value) if isinstance(value, dict) else value)
                    for name, value in zip(columns, values, strict=True)
                    if name != "folded"
                ]
                superuser_connection.execute(
                    f"INSERT INTO {table} ({', '.join(name for name, _ in shown)})"  # type: ignore[arg-type]
                    f" VALUES ({', '.join(['%s'] * len(shown))})",
                    [value for _, value in shown],
                )
    her = last(owner_connection, organization) - 1
    assert row(owner_connection, organization, her)[0] == ADDRESS
    # As the backup has it, under a legal hold that was lifted since.
    hold = ["audit_hold", "place", organization.slug, "--reason", "case", "--by", "counsel"]
    call_command(*hold, stdout=io.StringIO())
    with pytest.raises(CommandError, match="Not everything is erased again"):
        erase(None, "--again")
    found = io.StringIO()
    with pytest.raises(CommandError, match="1 finding. Nothing"):
        call_command("audit_verify", "--all", stdout=found, stderr=found)
    assert "2 entries are there again of which parts were erased" in found.getvalue()
    call_command(*[word.replace("place", "lift") for word in hold], stdout=io.StringIO())
    assert "Erased parts of 2 entries" in erase(None, "--again")
    assert row(owner_connection, organization, her)[:4] == ("", None, "", None)
    assert erasures_remembered.path().read_text() == remembered
    sealed()
    assert not verifying.verify("owner").findings
    call_command("audit_verify", "--all", stdout=io.StringIO())


def test_other_logs_that_know_the_person_are_named(
    owner_connection: Connection, organization: Organization, log: uuid.UUID
) -> None:
    other = OrganizationFactory.create()
    entered(owner_connection, other, actor_id=log, actor_label=ADDRESS)
    sealed()
    said = erase(organization, "--actor", ulid.to_text(log))
    assert (
        f"Other logs know this person too, and keep what they have: {ulid.to_text(other.pk)}."
        in said
    )
