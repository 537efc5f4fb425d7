"""Secrets: what is stored opens again, what is replaced is kept, what breaks a rule is refused."""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import time_machine
from django.core.exceptions import ValidationError
from django.db import DatabaseError, connection, transaction

from keys import (
    authors,
    blobs,
    client_keys,
    crypto,
    custody,
    data_keys,
    errors,
    master_key,
    reencryption,
    retrieval,
    rotation,
    secret_versions,
    secrets,
)
from keys.levels import Level
from keys.models import KeyVersion, Secret, SecretVersion
from keys.reencryption import Submitted
from keys.rotation import Encrypted
from organizations import clock, hierarchy
from organizations.models import Organization, Project
from tests.factories import (
    CLIENT_KEY,
    EnvironmentFactory,
    LevelFactory,
    OrganizationFactory,
    ProjectFactory,
    TargetFactory,
    client_key,
)

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

ADA = authors.Author(7, "Ada")
Entries = Callable[..., list[Any]]

ROUNDS = client_keys.FEWEST_ITERATIONS


@pytest.fixture
def project(organization: Organization) -> Project:
    return ProjectFactory.create(organization=organization)


@pytest.fixture
def level(project: Project) -> Level:
    return LevelFactory.create(project=project)


@pytest.fixture
def client_project(organization: Organization) -> Project:
    return ProjectFactory.create(organization=organization, name="Vault", client_managed=True)


def proof(key: str, salt: bytes = bytes(16)) -> str:
    return base64.b64encode(crypto.prove(key, salt, ROUNDS)).decode()


def sealed(project: Project, plaintext: bytes) -> str:
    return blobs.to_text(crypto.encrypt(data_keys.data_key(retrieval.active(project)), plaintext))


def sealed_by(key: str, plaintext: bytes, salt: bytes = bytes(16)) -> str:
    return blobs.to_text(crypto.encrypt(crypto.derive_data_key(key, salt, ROUNDS), plaintext))


def held(level: Level) -> bytes | None:
    opened = secrets.decrypt([level])
    return opened[0].plaintext if opened else None


def test_a_level_holds_what_was_stored_last(level: Level) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    secrets.store(level, sealed(level.project, b"A=2"), author=ADA)
    assert held(level) == b"A=2"
    [version] = secret_versions.of_level(level)
    assert (version.action, version.author_name, version.key_version) == ("update", "Ada", 1)
    assert blobs.opened(retrieval.active(level.project), version.content) == b"A=1"


def test_each_level_of_a_path_has_its_own(level: Level) -> None:
    for each, text in zip(level.and_above, (b"P=1", b"T=1", b"E=1"), strict=True):
        secrets.store(each, sealed(level.project, text), author=ADA)
    read = secrets.decrypt(level.and_above)
    assert [(one.level.name, one.plaintext) for one in read] == [
        ("project", b"P=1"),
        ("target", b"T=1"),
        ("environment", b"E=1"),
    ]


def test_plaintext_is_encrypted_on_arrival_and_noted(level: Level, entries: Entries) -> None:
    secrets.store(level, "TOKEN=hunter2", author=ADA)
    stored = Secret.objects.get()
    assert b"hunter2" not in bytes(stored.content)
    assert held(level) == b"TOKEN=hunter2"
    [entry] = entries(resource_type="secret", action="create")
    assert entry.context["plaintext_upload"] is True
    assert "hunter2" not in str((entry.changes, entry.context))


def test_a_strict_project_refuses_plaintext(level: Level) -> None:
    hierarchy.update_node(level.project, {"strict_encryption": True})
    level.project.refresh_from_db()
    with pytest.raises(errors.ContentNotEncryptedError):
        secrets.store(level, "TOKEN=hunter2", author=ADA)
    assert not Secret.objects.exists()


def test_what_an_old_client_encrypted_is_brought_under_the_derived_key(
    level: Level, entries: Entries
) -> None:
    padded = data_keys.padded_key(retrieval.active(level.project))
    secrets.store(level, blobs.to_text(crypto.encrypt(padded, b"OLD=1")), author=ADA)
    assert held(level) == b"OLD=1"
    assert entries(resource_type="secret")[0].context["legacy_derivation"] is True


def test_what_no_key_of_the_project_opens_is_refused(level: Level) -> None:
    with pytest.raises(errors.ContentUndecryptableError):
        secrets.store(level, blobs.to_text(crypto.encrypt(bytes(32), b"A=1")), author=ADA)


def test_too_much_is_refused(level: Level, settings: Any) -> None:
    settings.SECRET_MAX_BYTES = 100
    with pytest.raises(errors.ContentTooLargeError, match="at most 100"):
        secrets.store(level, "x" * 101, author=ADA)


def test_plaintext_counts_as_the_blob_that_it_becomes(level: Level, settings: Any) -> None:
    settings.SECRET_MAX_BYTES = 100
    secrets.store(level, "A=" + "x" * 45, author=ADA)
    stored = blobs.to_text(Secret.objects.get().content)
    assert len(stored) == 100
    secrets.store(level, stored, author=ADA)
    with pytest.raises(errors.ContentTooLargeError, match="Encrypted, .* 104 bytes"):
        secrets.store(level, "A=" + "x" * 46, author=ADA)


def test_a_deleted_level_can_be_restored(level: Level) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    assert secrets.delete(level, author=ADA) is True
    assert secrets.delete(level, author=ADA) is False
    assert held(level) is None
    [version] = secret_versions.of_level(level)
    with pytest.raises(errors.VersionProtectedError):
        secret_versions.delete(version)
    secret_versions.restore(version, author=ADA)
    assert held(level) == b"A=1"


def test_deleting_without_backup_leaves_nothing(level: Level, entries: Entries) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    secrets.store(level, sealed(level.project, b"A=2"), author=ADA)
    secrets.delete(level, author=ADA, no_backup=True)
    assert not Secret.objects.exists()
    assert not SecretVersion.objects.exists()
    assert entries(action="purge", resource_type="secret_version")
    assert entries(action="delete", resource_type="secret")[0].context["no_backup"] is True


def test_rotation_moves_every_level_and_keeps_what_was(level: Level, entries: Entries) -> None:
    for each in level.and_above:
        secrets.store(each, sealed(level.project, each.name.encode()), author=ADA)
    made = rotation.rotate(level.project, author=ADA)
    assert {secret.key_version for secret in Secret.objects.all()} == {made.version} == {2}
    assert [one.plaintext for one in secrets.decrypt(level.and_above)] == [
        b"project",
        b"target",
        b"environment",
    ]
    [version] = secret_versions.of_level(level)
    assert (version.action, version.key_version, version.author_name) == ("rotate", 1, "Ada")
    secret_versions.restore(version, author=ADA)
    assert Secret.objects.get(environment=level.environment).key_version == 2
    assert held(level) == b"environment"
    [entry] = entries(action="rotate", resource_type="key_version")
    assert entry.context["count"] == 3


def test_history_is_re_encrypted_where_a_rotation_asked_for_it(
    level: Level, entries: Entries
) -> None:
    for text in (b"A=1", b"A=2", b"A=3"):
        secrets.store(level, sealed(level.project, text), author=ADA)
    rotation.rotate(level.project, history_policy="keep")
    assert not reencryption.projects_to_do().exists()
    rotation.rotate(level.project, history_policy="re_encrypt")
    assert reencryption.progress(level.project) == (0, 4)
    assert list(reencryption.projects_to_do()) == [level.project]
    assert reencryption.run(level.project) == 4
    assert reencryption.progress(level.project) == (4, 4)
    assert not reencryption.projects_to_do().exists()
    assert {version.key_version for version in SecretVersion.objects.all()} == {3}
    oldest = SecretVersion.objects.earliest("number")
    assert blobs.opened(retrieval.active(level.project), oldest.content) == b"A=1"
    assert len(entries(action="re_encrypt")) == 4


def test_a_clients_project_keeps_proof_and_ciphertext_alone(client_project: Project) -> None:
    level = Level(client_project)
    secrets.store(level, sealed_by(CLIENT_KEY, b"A=1"), author=ADA, key_proof=proof(CLIENT_KEY))
    version = retrieval.active(client_project)
    assert version.wrapped_key is None
    assert master_key.unwrap_proof(version) == crypto.prove(CLIENT_KEY, bytes(16), ROUNDS)
    assert crypto.prove(CLIENT_KEY, bytes(16), ROUNDS) not in bytes(
        version.wrapped_key_check or b""
    )
    with pytest.raises(errors.ClientManagedError):
        secrets.decrypt([level])


@pytest.mark.parametrize(
    ("content", "sent", "refused"),
    [
        ("cipher", None, errors.KeyProofRequiredError),
        ("cipher", "wrong", errors.KeyProofMismatchError),
        ("plain", "right", errors.ContentNotEncryptedError),
    ],
)
def test_a_clients_project_refuses(
    client_project: Project, content: str, sent: str | None, refused: type[Exception]
) -> None:
    blob = "A=1" if content == "plain" else sealed_by(CLIENT_KEY, b"A=1")
    proofs = {"right": proof(CLIENT_KEY), "wrong": proof("some other key"), None: None}
    with pytest.raises(refused):
        secrets.store(Level(client_project), blob, author=ADA, key_proof=proofs[sent])
    assert not Secret.objects.exists()


def test_a_key_of_32_bytes_is_found_out(organization: Organization) -> None:
    key = "k" * 32
    project = ProjectFactory.create(organization=organization, client_key=client_key(key))
    with pytest.raises(errors.InsecureClientKeyError):
        secrets.store(Level(project), sealed_by(key, b"A=1"), author=ADA, key_proof=proof(key))


def test_clients_rotate_their_key_completely_or_not_at_all(client_project: Project) -> None:
    target = TargetFactory.create(project=client_project)
    both = [Level(client_project), Level(client_project, target)]
    for each in both:
        secrets.store(
            each, sealed_by(CLIENT_KEY, each.name.encode()), author=ADA, key_proof=proof(CLIENT_KEY)
        )
    rows = [secret.ulid for secret in Secret.objects.order_by("id")]
    other, salt = "the next key of the client", bytes(range(16))
    new = [Encrypted(row, sealed_by(other, b"moved", salt)) for row in rows]
    for wrong in (new[:1], [*new, new[0]], [*new, Encrypted("nobody", new[0].content)]):
        with pytest.raises(errors.RotationMismatchError):
            rotation.rotate_client_key(client_project, wrong, client_key(other, salt))
    made = rotation.rotate_client_key(client_project, new, client_key(other, salt), author=ADA)
    assert made.version == 2
    assert {secret.key_version for secret in Secret.objects.all()} == {2}
    waiting = reencryption.pending(client_project, 1)
    assert (len(waiting.versions), waiting.remaining) == (1, 2)
    submitted = [
        Submitted(version.number, sealed_by(other, b"old", salt))
        for version in reencryption.pending(client_project, 10).versions
    ]
    with pytest.raises(errors.KeyProofMismatchError):
        reencryption.submit(client_project, submitted, proof(CLIENT_KEY))
    assert reencryption.submit(client_project, submitted, proof(other, salt)).remaining == 0
    with pytest.raises(errors.KeyVersionConflictError):
        reencryption.submit(client_project, submitted, proof(other, salt))


def test_restoring_under_an_old_client_key_needs_new_content(client_project: Project) -> None:
    level = Level(client_project)
    secrets.store(level, sealed_by(CLIENT_KEY, b"A=1"), author=ADA, key_proof=proof(CLIENT_KEY))
    other = "the next key of the client"
    rotation.rotate_client_key(
        client_project,
        [Encrypted(Secret.objects.get().ulid, sealed_by(other, b"A=1"))],
        client_key(other),
    )
    [version] = secret_versions.of_level(level)
    with pytest.raises(errors.ContentRequiredError):
        secret_versions.restore(version, author=ADA)
    secret_versions.restore(
        version, author=ADA, content=sealed_by(other, b"A=1"), key_proof=proof(other)
    )
    assert Secret.objects.get().key_version == 2


def test_custody_goes_to_the_clients_and_back_without_touching_a_blob(
    level: Level, entries: Entries
) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    rotation.rotate(level.project)
    before = bytes(Secret.objects.get().content)
    key = custody.offer(level.project)
    with pytest.raises(errors.KeyProofMismatchError):
        custody.to_clients(level.project, key[:-1])
    custody.to_clients(level.project, key)
    project = Project.objects.get()
    version = retrieval.active(project)
    assert (project.storage_mode, version.managed, version.wrapped_key) == (
        "client",
        "client",
        None,
    )
    assert bytes(Secret.objects.get().content) == before
    # What the older key encrypted can be read with this one now.
    data_key = crypto.derive_data_key(
        key, bytes(version.key_check_salt), version.key_check_iterations
    )
    assert crypto.decrypt(data_key, bytes(SecretVersion.objects.get().content)) == b"A=1"
    with pytest.raises(errors.KeyProofMismatchError):
        custody.to_server(project, key + "x" if len(key) < 32 else "another key altogether")
    with pytest.raises(errors.ContentUndecryptableError):
        custody.to_server(project, key + "x")
    custody.to_server(project, key)
    assert held(level) == b"A=1"
    assert [entry.type for entry in entries(action="switch_custody")] == [
        "key_version",
        "project",
    ] * 2
    assert key not in str([(entry.changes, entry.context) for entry in entries()])


def test_old_versions_lock_and_stay_listed(level: Level) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    secrets.delete(level, author=ADA)
    Organization.objects.update(history_retention_days=30)
    [version] = secret_versions.of_level(level)
    found = secret_versions.find(level.project.organization, version.number)
    assert found is not None
    assert secret_versions.show(found).version == found
    with time_machine.travel(clock.now() + dt.timedelta(days=31)):
        assert secret_versions.lock_reason(found, found.project)
        for closed in (secret_versions.show, partial(secret_versions.restore, author=ADA)):
            with pytest.raises(errors.VersionLockedError) as refused:
                closed(found)
            assert refused.value.details["retention_days"] == 30


def test_the_database_keeps_versions_and_keys_as_they_are(level: Level) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    secrets.store(level, sealed(level.project, b"A=2"), author=ADA)
    rotation.rotate(level.project)
    for statement in (
        "UPDATE keys_secretversion SET content = '\\x00' WHERE number = 2",
        "UPDATE keys_secretversion SET created_at = now()",
        "UPDATE keys_secretversion SET key_version = 1, content = '\\x00'",
        "UPDATE keys_keyversion SET wrapped_key = '\\x00' WHERE version = 1",
        "UPDATE keys_keyversion SET managed = 'client', wrapped_key = NULL,"
        " wrapped_key_check = '\\x00' WHERE version = 1",
        "UPDATE keys_keyversion SET key_check_salt = '\\x00'",
        "DELETE FROM keys_keyversion WHERE version = 1",
        "UPDATE keys_secret SET target_id = NULL",
    ):
        with pytest.raises(DatabaseError), transaction.atomic(), connection.cursor() as cursor:
            cursor.execute("SET LOCAL audit.reason = 'try it'")
            cursor.execute(statement)


def test_numbers_count_within_an_organization(level: Level) -> None:
    secrets.store(level, sealed(level.project, b"A=1"), author=ADA)
    other = OrganizationFactory.create(name="Other")
    project = ProjectFactory.create(organization=other)
    assert secrets.store(Level(project), sealed(project, b"A=1"), author=ADA).secret.number == 1


def test_a_key_that_may_not_be_the_servers_is_refused(client_project: Project) -> None:
    with pytest.raises(ValidationError, match="16 bytes"):
        custody.to_server(client_project, "short")


def test_one_key_version_is_enough_for_a_thousand_levels(project: Project) -> None:
    target = TargetFactory.create(project=project)
    for number in range(30):
        environment = EnvironmentFactory.create(target=target, name=f"Env {number}")
        secrets.store(
            Level(project, target, environment), sealed(project, b"A=%d" % number), author=ADA
        )
    rotation.BATCH, kept = 7, rotation.BATCH
    try:
        rotation.rotate(project)
    finally:
        rotation.BATCH = kept
    key = KeyVersion.objects.get(project=project, is_active=True)
    opened = {blobs.opened(key, secret.content) for secret in Secret.objects.all()}
    assert opened == {b"A=%d" % number for number in range(30)}
