"""Keys: the published vectors, one active version, and rotated ones that never change."""

from __future__ import annotations

import base64
import threading
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.core.exceptions import ImproperlyConfigured, ValidationError
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import DatabaseError, connection, transaction

from keys import crypto, errors, master_key, retrieval, rotation
from keys.models import KeyVersion
from keys.projects import create_project
from organizations.models import Organization, Project
from tests.factories import ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer"])

ZERO_16 = bytes(16)
SEQUENCE_16 = bytes(range(16))
HEX_KEY = "52c7e8f043e61267076c35827d6c4be454c70ecac00bf10e79a56d703e32e123"


@pytest.fixture
def project(organization: Organization) -> Project:
    return ProjectFactory.create(organization=organization)


def text(value: bytes) -> str:
    return base64.b64encode(value).decode()


def test_padding_takes_the_first_32_bytes_or_fills_with_zeros() -> None:
    assert crypto.pad_key(HEX_KEY) == HEX_KEY[:32].encode()
    assert crypto.pad_key("test-key-123") == b"test-key-123" + b"0" * 20
    with pytest.raises(ValueError, match="empty"):
        crypto.pad_key("")


@pytest.mark.parametrize(
    ("key", "blob"),
    [
        (HEX_KEY, "7GvE2YvXvWsbzoQ71OocEa3yGvCdWf2hFTz6goD6f3xRBpLnZeS84QoisjblDTY="),
        ("test-key-123", "+zDYe4BoH2laQAU8AUyFVFHiZ8S5pnY6Ysk8EaeU5DvVPFjJ6Sm+CsztAgHin3w="),
    ],
)
def test_blobs_of_other_clients_open_with_the_padded_key(key: str, blob: str) -> None:
    assert crypto.decrypt(crypto.pad_key(key), base64.b64decode(blob)) == b"HELLO=world\nFOO=bar"


@pytest.mark.parametrize(
    ("key", "salt", "iterations", "expected"),
    [
        (
            "correct horse battery staple",
            SEQUENCE_16,
            1000,
            "ppsXnjrdPB4KryJ6DrOqKqhkWrhv7PbKAMF1Eml8cZ4=",
        ),
        (HEX_KEY, ZERO_16, 1000, "g5T4ig0YA4jkFMb7NXO3gednz//JOU/6EnjjwNdAl4U="),
        ("abc", ZERO_16, 1000, "wUq9z+VFog/6QBHMm2oWOgWwIrSuX8FNBvyCNx//DU8="),
        ("abc0", ZERO_16, 1000, "WWmQhigTh4uCR3wRaTJmdOkz7gDX9WD3eCVWrrO3pAk="),
        ("hunter2", SEQUENCE_16, 1000, "9VUOiRGfWTzTZixtfaW9P3qQ4lzS3CIfWKYWbHcnU9M="),
    ],
)
def test_data_keys_are_derived_as_published(
    key: str, salt: bytes, iterations: int, expected: str
) -> None:
    assert text(crypto.derive_data_key(key, salt, iterations)) == expected


@pytest.mark.parametrize(
    ("key", "iterations", "expected"),
    [
        ("test-key-123", 1000, "NmvqZy0aWO8MAZ/l3xHShSRA3IRhdRwM6jCBBHDP+eE="),
        ("test-key-123", 600_000, "ayMCnThxgJYJAp0OwOC+yPq5GFwLGVthJJjFv47RyhI="),
        (HEX_KEY, 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14="),
        (HEX_KEY[:32], 1000, "h2VVjXvhr9LDoUBIbJKZ0ZWUrxRLSxsKhVZdRGwmv14="),
    ],
)
def test_proofs_are_derived_as_published(key: str, iterations: int, expected: str) -> None:
    assert text(crypto.prove(key, ZERO_16, iterations)) == expected


def test_encryption_is_as_published() -> None:
    data_key = crypto.derive_data_key("hunter2", SEQUENCE_16, 1000)
    nonce = bytes(range(12))
    blob = nonce + AESGCM(data_key).encrypt(nonce, b"SECRET=value", None)
    assert text(blob) == "AAECAwQFBgcICQoLnBpFxur80DWK8NkhqkQ7lvJazJrcz2QLPg/17A=="
    assert crypto.decrypt(data_key, blob) == b"SECRET=value"
    with pytest.raises(crypto.UnwrapError):
        crypto.decrypt(data_key, blob[:-1] + b"x")


def test_generated_keys_never_have_32_bytes() -> None:
    keys = {crypto.generate_key() for _ in range(50)}
    assert {len(key) for key in keys} == {48}
    assert len(keys) == 50


def test_a_project_is_born_with_an_active_key_that_only_the_master_key_opens(
    project: Project,
) -> None:
    version, key = retrieval.retrieve(project)
    assert (version.version, version.is_active, version.managed) == (1, True, "server")
    assert key is not None
    assert key.encode() not in bytes(version.wrapped_key or b"")


def test_rotation_retires_one_version_and_makes_the_next(project: Project) -> None:
    before = retrieval.retrieve(project).key
    made = rotation.rotate(project)
    assert made.version == 2
    assert retrieval.retrieve(project).key != before
    retired = KeyVersion.objects.get(project=project, version=1)
    assert not retired.is_active
    assert retired.rotated_at is not None
    assert master_key.unwrap(retired) == before


def test_eight_rotations_at_once_leave_one_active_version(project: Project) -> None:
    outcomes: list[str] = []
    start = threading.Barrier(8)

    def rotate() -> None:
        start.wait(10)
        try:
            rotation.rotate(project)
            outcomes.append("rotated")
        except errors.RotationInProgressError:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=rotate) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    versions = KeyVersion.objects.filter(project=project)
    assert len(outcomes) == 8
    assert versions.count() == 1 + outcomes.count("rotated")
    assert [version.version for version in versions.filter(is_active=True)] == [versions.count()]


@pytest.mark.parametrize(
    "change",
    [
        "is_active = true, rotated_at = NULL",
        "rotated_at = now()",
        "key_check_salt = 'x'",
        "key_check_iterations = 1",
        "version = 9",
        "wrapped_key = 'x'",
        "created_at = now()",
    ],
)
def test_a_rotated_version_is_immutable_in_the_database(project: Project, change: str) -> None:
    rotation.rotate(project)
    with (
        pytest.raises(DatabaseError, match="immutable|keys_keyversion"),
        transaction.atomic(),
        connection.cursor() as cursor,
    ):
        cursor.execute("SET LOCAL audit.reason = 'tampering'")
        cursor.execute(
            f"UPDATE keys_keyversion SET {change} WHERE project_id = %s AND version = 1",
            [project.pk],
        )


def test_a_version_is_immutable_in_python(project: Project) -> None:
    rotation.rotate(project)
    retired = KeyVersion.objects.get(project=project, version=1)
    retired.key_check_iterations = 1
    with pytest.raises(ValueError, match="never changes its key_check_iterations"):
        retired.save()
    retired = KeyVersion.objects.get(project=project, version=1)
    retired.is_active, retired.rotated_at = True, None
    with pytest.raises(ValueError, match="is_active"):
        retired.save()


def test_a_wrapped_key_cannot_be_moved_to_another_project(
    organization: Organization, project: Project
) -> None:
    other = ProjectFactory.create(organization=organization, name="Other")
    mine, theirs = (KeyVersion.objects.get(project=each) for each in (project, other))
    theirs.wrapped_key = mine.wrapped_key
    with pytest.raises(crypto.UnwrapError):
        master_key.unwrap(theirs)


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("short", "at least 16"),
        ("x" * 32, "32 bytes"),
        ("a key of a file, with its end of line\n", "white space"),
        (" " * 40, "white space"),
    ],
)
def test_weak_keys_of_users_are_refused(organization: Organization, key: str, why: str) -> None:
    with pytest.raises(ValidationError, match=why):
        create_project(organization, "Weak", encryption_key=key)
    assert not Project.objects.filter(name="Weak").exists()


def test_the_master_key_is_rotated_by_a_command(
    project: Project, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    key = retrieval.retrieve(project).key
    rotation.rotate(project)
    settings.MASTER_KEYS = {2: b"2" * 32, **settings.MASTER_KEYS}
    settings.MASTER_KEY_CURRENT = 2
    call_command("rewrap_keys")
    assert "Re-wrapped 2 keys" in capsys.readouterr().out
    settings.MASTER_KEYS = {2: b"2" * 32}
    assert master_key.unwrap(KeyVersion.objects.get(project=project, version=1)) == key
    call_command("rewrap_keys")
    assert "Re-wrapped 0 keys" in capsys.readouterr().out


def test_a_missing_master_key_is_named(project: Project, settings: Any) -> None:
    settings.MASTER_KEYS = {2: b"2" * 32}
    settings.MASTER_KEY_CURRENT = 2
    with pytest.raises(ImproperlyConfigured, match="master key 1"):
        retrieval.retrieve(project)
    with pytest.raises(CommandError, match="master key 1"):
        call_command("rewrap_keys")
