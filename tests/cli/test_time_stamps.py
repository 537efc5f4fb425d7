"""Time stamps of an authority (RFC 3161): kept if they hold, and checked by openssl without us."""

from __future__ import annotations

import shutil
import subprocess
import threading
import zipfile
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from audit.evidence import notes, reading, signing
from organizations.models import Organization
from tests import evidence
from tests.cli.recorder import Run
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory

OPENSSL = shutil.which("openssl")
pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"]),
    pytest.mark.skipif(OPENSSL is None, reason="the authority of these tests needs openssl"),
]

CONFIGURATION = """
[tsa]
serial = {directory}/serial
signer_digest = sha256
default_policy = 1.2.3.4.1
digests = sha256
accuracy = secs:1
ess_cert_id_alg = sha256
ess_cert_id_chain = no
signer_cert = {directory}/tsa.pem
signer_key = {directory}/tsa.key
"""
EXTENSIONS = "extendedKeyUsage = critical,timeStamping\nkeyUsage = critical,digitalSignature\n"


def openssl(*arguments: str, given: bytes = b"") -> bytes:
    done = subprocess.run([str(OPENSSL), *arguments], input=given, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


class Authority:
    """A time-stamping authority, made with openssl."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.is_lying = False
        """Whether it stamps something else than what was asked."""
        one = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")
        root = ("req", "-x509", *one, "-subj", "/CN=Root", "-days", "30")
        openssl(*root, "-keyout", self["ca.key"], "-out", self["ca.pem"])
        openssl(
            *("req", *one, "-subj", "/CN=Authority", "-keyout", self["tsa.key"]),
            *("-out", self["tsa.csr"]),
        )
        (directory / "extensions").write_text(EXTENSIONS)
        openssl(
            *("x509", "-req", "-in", self["tsa.csr"], "-CA", self["ca.pem"]),
            *("-CAkey", self["ca.key"], "-days", "30", "-out", self["tsa.pem"]),
            *("-extfile", self["extensions"]),
        )
        (directory / "serial").write_text("01\n")
        (directory / "tsa.cnf").write_text(CONFIGURATION.format(directory=directory))

    def __getitem__(self, name: str) -> str:
        return str(self.directory / name)

    def answer(self, query: bytes) -> bytes:
        (self.directory / "query").write_bytes(query)
        if self.is_lying:
            (self.directory / "other").write_bytes(b"something else")
            other = ("ts", "-query", "-data", self["other"], "-sha256", "-cert")
            openssl(*other, "-out", self["query"])
        return (
            openssl(
                *("ts", "-reply", "-queryfile", self["query"], "-config", self["tsa.cnf"]),
                *("-section", "tsa", "-out", self["reply"]),
            )
            or (self.directory / "reply").read_bytes()
        )


@pytest.fixture
def authority(tmp_path: Path, settings: Any) -> Iterator[Authority]:
    directory = tmp_path / "authority"
    directory.mkdir()
    made = Authority(directory)

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            assert self.headers["Content-Type"] == "application/timestamp-query"
            reply = made.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(200)
            self.send_header("Content-Type", "application/timestamp-reply")
            self.send_header("Content-Length", str(len(reply)))
            self.end_headers()
            self.wfile.write(reply)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    settings.AUDIT_TSA_URL = f"http://127.0.0.1:{server.server_port}/"
    settings.AUDIT_TSA_CA = directory / "ca.pem"
    yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def acme(transactional_db: None, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> Organization:
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    ProjectFactory.create(organization=organization, slug="storefront")
    abilities = ["audit:read", "audit:export"]
    issued = ApiKeyFactory.create(organization=organization, abilities=abilities)
    monkeypatch.setenv("DOTENV_API_URL", live_server.url)
    monkeypatch.setenv("DOTENV_API_KEY", issued.token)
    evidence.seal_all()
    evidence.prove_all()
    return organization


def stamps(log: Any) -> int:
    return len(reading._rows("owner", "SELECT FROM audit_stamp WHERE organization_id = %s", [log]))


def test_a_pack_has_a_time_stamp_that_openssl_verifies(
    acme: Organization, authority: Authority, dotenv: Run, tmp_path: Path
) -> None:
    file = tmp_path / "all.zip"
    with evidence.at_work():
        result = dotenv("audit", "evidence", "--stamp", "-o", str(file))
    assert result.code == 0, result.err
    key = dotenv("audit", "keys").out.strip()
    offline = dotenv("audit", "verify", str(file), "--key", key)
    assert (offline.code, offline.out.splitlines()[-1]) == (0, "OK"), offline.err
    with zipfile.ZipFile(file) as pack:
        pack.extractall(tmp_path, ["checkpoint.text", "checkpoint.tsr"])
    verify = [
        *("ts", "-verify", "-data", str(tmp_path / "checkpoint.text")),
        *("-in", str(tmp_path / "checkpoint.tsr"), "-CAfile", authority["ca.pem"]),
    ]
    openssl(*verify)
    (tmp_path / "checkpoint.text").write_bytes(b"another text")
    with pytest.raises(AssertionError, match="message imprint mismatch"):
        openssl(*verify)


def test_heads_is_stamped_once_a_day(
    acme: Organization, authority: Authority, settings: Any
) -> None:
    settings.AUDIT_HEADS_SECONDS = 0.01
    evidence.prove_all()
    for _ in range(2):
        call_command("audit_witness")
        evidence.prove_all()
    assert stamps(notes.HEADS) == 1
    call_command("audit_stamp", organization=acme.slug)
    assert stamps(acme.pk) == 1


def test_a_stamp_that_does_not_hold_is_not_kept(
    acme: Organization, authority: Authority, dotenv: Run, settings: Any, tmp_path: Path
) -> None:
    authority.is_lying = True
    with pytest.raises(CommandError, match="does not hold: Nonce mismatch"):
        call_command("audit_stamp", organization=acme.slug)
    authority.is_lying = False
    settings.AUDIT_TSA_CA = Path(Authority(tmp_path)["ca.pem"])  # the root of somebody else
    with pytest.raises(CommandError, match="does not hold"):
        call_command("audit_stamp", organization=acme.slug)
    settings.AUDIT_TSA_URL = "http://127.0.0.1:9/"
    with pytest.raises(CommandError, match="cannot be reached"):
        call_command("audit_stamp", organization=acme.slug)
    assert stamps(acme.pk) == 0
    with evidence.at_work():
        result = dotenv("audit", "evidence", "--stamp", "-o", str(tmp_path / "a.zip"))
    assert result.code == 1
    assert "No time stamp" in result.err
    settings.AUDIT_TSA_URL = ""
    with evidence.at_work():
        assert dotenv("audit", "evidence", "--stamp", "-o", str(tmp_path / "a.zip")).code == 2
