"""The service starts with what it needs or says what is missing; nothing secret has a default."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from dotenv_cloud import environment

KEY_1 = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="
KEY_2 = "ICEiIyQlJicoKSorLC0uLzAxMjM0NTY3ODk6Ozw9Pj8="

PRODUCTION = {
    "SECRET_KEY": "0123456789-abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQ",
    "MASTER_KEYS": f"1:{KEY_1}",
    "ALLOWED_HOSTS": "dotenv.example.com",
    "BASE_URL": "https://dotenv.example.com",
    "AUDIT_ORIGIN": "dotenv.example.com",
    "DATABASE_URL": "postgresql://dotenv_app:word@db.example.com/dotenv_cloud?sslmode=require",
}


def manage(*arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=settings.BASE_DIR,
        env=environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("missing", PRODUCTION)
def test_production_refuses_to_start_without(missing: str) -> None:
    given = {name: value for name, value in PRODUCTION.items() if name != missing}
    result = manage("check", **given)
    assert result.returncode != 0
    assert f"{missing} is not set. Set it to" in result.stderr
    assert "Traceback" not in result.stderr


def test_production_passes_the_deployment_checks() -> None:
    result = manage("check", "--deploy", "--fail-level", "WARNING", **PRODUCTION)
    assert result.returncode == 0, result.stderr


def test_production_knows_no_password_of_the_other_roles() -> None:
    code = (
        "from django.conf import settings\n"
        "for alias in ('default', 'owner', 'sealer'):\n"
        "    found = settings.DATABASES[alias]\n"
        "    print(alias, found['USER'], found['PASSWORD'], found['OPTIONS'].get('sslmode'))\n"
    )
    result = manage("shell", "--no-imports", "-c", code, **PRODUCTION)
    assert result.stdout.splitlines() == [
        "default dotenv_app word require",
        "owner dotenv_owner  require",
        "sealer dotenv_sealer  require",
    ], result.stderr


def test_a_secret_may_be_given_as_a_file(tmp_path: Path) -> None:
    file = tmp_path / "master-keys"
    file.write_text(f"1:{KEY_1}\n")
    given = {name: value for name, value in PRODUCTION.items() if name != "MASTER_KEYS"}
    result = manage("check", MASTER_KEYS_FILE=str(file), **given)
    assert result.returncode == 0, result.stderr


def test_the_first_master_key_is_the_current_one() -> None:
    current, keys = environment.master_keys(f"2:{KEY_2}, 1:{KEY_1}")
    assert current == 2
    assert keys == {2: bytes(range(32, 64)), 1: bytes(range(32))}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "it is empty"),
        (KEY_1, "a colon and the key in base64"),
        (f"0:{KEY_1}", "a colon and the key in base64"),
        ("1:not base64", "version 1 is not base64"),
        ("3:c2hvcnQ=", "version 3 has 5 bytes instead of 32"),
        (f"1:{KEY_1},1:{KEY_2}", "version 1 is given twice"),
    ],
)
def test_master_keys_that_cannot_be_used_are_refused(text: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=why) as refused:
        environment.master_keys(text)
    assert "openssl rand -base64 32" in str(refused.value)
    assert KEY_1 not in str(refused.value)
    assert KEY_2 not in str(refused.value)


@pytest.mark.parametrize("text", ["100", "100/", "/60", "0/60", "many/60", "100/60/2", "-1/60"])
def test_a_limit_that_cannot_be_used_is_refused(text: str) -> None:
    with pytest.raises(ImproperlyConfigured, match="RATE_LIMIT_API is .*such as 100/60"):
        environment.limit(text, "RATE_LIMIT_API")


def test_a_limit_is_requests_in_seconds() -> None:
    assert environment.limit("30/900", "RATE_LIMIT_API") == (30, 900)


def test_a_proxy_that_is_not_an_address_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="TRUSTED_PROXIES: 'proxy.internal' is not an"):
        environment.networks(["10.0.0.0/8", "proxy.internal"], "TRUSTED_PROXIES")


@pytest.mark.parametrize(
    ("url", "why"),
    [
        ("mysql://root@db/x", "is not a PostgreSQL URL"),
        ("postgresql://db.internal/dotenv_cloud", "does not name a role"),
        ("postgresql://dotenv_app@db.internal", "does not name a database"),
    ],
)
def test_a_database_url_that_cannot_be_used_is_refused(url: str, why: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"DATABASE_URL {why}"):
        environment.database(url, "DATABASE_URL")


def test_a_password_never_appears_in_the_refusal() -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        environment.database("postgresql://:hidden@db/x", "DATABASE_URL")
    assert "hidden" not in str(refused.value)


def test_the_demo_makes_its_secrets_once_and_for_its_user_alone(tmp_path: Path) -> None:
    first = environment.demo_secrets(tmp_path / "data")
    again = environment.demo_secrets(tmp_path / "data")
    other = environment.demo_secrets(tmp_path / "elsewhere")
    assert first == again
    assert first.secret_key != other.secret_key
    assert environment.master_keys(first.master_keys)[0] == 1
    [file] = (tmp_path / "data").iterdir()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


def test_the_first_signing_key_is_the_newest() -> None:
    keys = environment.signing_keys(f"2:{KEY_2}, 1:{KEY_1}")
    assert list(keys.items()) == [(2, bytes(range(32, 64))), (1, bytes(range(32)))]
    assert environment.signing_keys("") == {}


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (KEY_1, "a colon and the key in base64"),
        (f"0:{KEY_1}", "a colon and the key in base64"),
        (f"01:{KEY_1}", "a colon and the key in base64"),
        ("1:not base64", "key 1 is not base64"),
        ("3:c2hvcnQ=", "key 3 has 5 bytes instead of 32"),
        (f"1:{KEY_1},2:{KEY_2}", "the newest key comes first"),
        (f"1:{KEY_1},1:{KEY_2}", "the newest key comes first"),
    ],
)
def test_signing_keys_that_cannot_be_used_are_refused(text: str, why: str) -> None:
    result = manage("check", AUDIT_SIGNING_KEYS=text, **PRODUCTION)
    assert result.returncode != 0
    assert "AUDIT_SIGNING_KEYS is not valid" in result.stderr
    assert why in result.stderr
    assert KEY_1 not in result.stderr


def test_who_signs_in_production_has_to_remember_what_was_signed() -> None:
    result = manage("check", AUDIT_SIGNING_KEYS=f"1:{KEY_1}", **PRODUCTION)
    assert result.returncode != 0
    assert "AUDIT_MEMORY is not set. Set it to a file" in result.stderr
    given = PRODUCTION | {"AUDIT_MEMORY": "/var/lib/dotenv-cloud/signed"}
    result = manage("check", AUDIT_SIGNING_KEYS=f"1:{KEY_1}", **given)
    assert result.returncode == 0, result.stderr


@pytest.mark.parametrize("text", ["a b", "a+b", "tab\there", "x" * 201, "line\nbreak"])
def test_an_origin_that_cannot_be_signed_is_refused(text: str) -> None:
    result = manage("check", **(PRODUCTION | {"AUDIT_ORIGIN": text}))
    assert result.returncode != 0
    assert "AUDIT_ORIGIN is " in result.stderr
