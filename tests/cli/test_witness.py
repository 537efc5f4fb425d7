"""Whoever asks is a witness: the log has to continue what was seen before, and who follows it says
when it was seen."""

from __future__ import annotations

import base64
import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.core.management import call_command

from audit.evidence import heads, health, notes, posting, reading, signing, tree
from audit.models import Entry, Witness
from dotenv_cloud import verifier
from organizations.models import Organization, Project
from tests import evidence
from tests.cli.recorder import REPOSITORY, Run
from tests.conftest import Connection
from tests.factories import ApiKeyFactory, OrganizationFactory, ProjectFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    ProjectFactory.create(organization=organization, slug="storefront")
    grow()
    return organization


@pytest.fixture
def auditor(acme: Organization, live_server: Any, monkeypatch: pytest.MonkeyPatch) -> str:
    abilities = ["audit:read", "audit:export", "audit:manage"]
    issued = ApiKeyFactory.create(organization=acme, abilities=abilities)
    monkeypatch.setenv("DOTENV_API_URL", live_server.url)
    monkeypatch.setenv("DOTENV_API_KEY", issued.token)
    grow()
    return str(issued.token)


def grow() -> None:
    """What was entered, sealed and signed."""
    evidence.seal_all()
    evidence.prove_all()


def add_entries(acme: Organization, count: int = 3) -> None:
    Project.objects.bulk_create(
        [Project(organization=acme, name="x", slug=f"x-{time.time_ns()}-{n}") for n in range(count)]
    )
    grow()


def kept(tmp_path: Path, acme: Organization) -> list[str]:
    """The lines of the checkpoint that the command kept."""
    [file] = [
        path
        for path in (tmp_path / ".config/dotenv-cloud/audit").iterdir()
        if len(path.name) == 64 and acme.ulid in path.read_text()
    ]
    return file.read_text().split("\n")


def forge(organization: Organization, size: int, root: bytes) -> str:
    """A checkpoint that this installation's key signed and that its log does not continue."""
    return signing.checkpoint(organization.pk, size, root)


# -- Every command


def test_each_call_keeps_the_checkpoint_that_it_relied_on(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path
) -> None:
    first = dotenv("audit", "list")
    assert first.code == 0, first.err
    assert "its keys are trusted from now on" in first.err
    origin, size, *_ = kept(tmp_path, acme)
    assert origin == f"dotenv.example.com/audit/{acme.ulid}"
    add_entries(acme)
    again = dotenv("audit", "count", "--by", "action")
    assert again.code == 0, again.err
    assert "trusted" not in again.err
    assert int(kept(tmp_path, acme)[1]) >= int(size) + 3


def test_a_log_that_went_back_ends_with_7_and_both_notes_as_proof(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path
) -> None:
    assert dotenv("audit", "list").code == 0
    _, size, *_ = kept(tmp_path, acme)
    add_entries(acme)
    # The one kept is of more entries than the log has: as after a restore of everything.
    ahead = forge(acme, int(size) + 1000, b"r" * 32)
    path = keep_instead(tmp_path, acme, ahead)
    result = dotenv("audit", "list")
    assert result.code == 7
    assert result.out == ""
    assert "the server's is of fewer entries" in result.err
    assert "does not sign this log any more" in result.err
    [proof] = (tmp_path / ".config/dotenv-cloud/audit").glob("proof-*")
    assert (proof / "before").read_text() == ahead
    assert (proof / "now").read_text().startswith(f"dotenv.example.com/audit/{acme.ulid}\n")
    assert path.read_text() == ahead  # never to a smaller size
    assert dotenv("audit", "show", Entry.objects.using("owner").all()[0].ulid).code == 7


def test_another_history_of_the_same_size_is_found(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path
) -> None:
    assert dotenv("audit", "list").code == 0
    _, size, *_ = kept(tmp_path, acme)
    add_entries(acme)
    keep_instead(tmp_path, acme, forge(acme, int(size), b"r" * 32))
    result = dotenv("audit", "count", "--by", "action")
    assert (result.code, result.out) == (7, "")
    assert "does not continue that of" in result.err


def test_another_origin_is_another_log_until_it_is_pinned(
    acme: Organization,
    auditor: str,
    dotenv: Run,
    settings: Any,
    superuser_connection: Connection,
) -> None:
    assert dotenv("audit", "list").code == 0
    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    settings.AUDIT_ORIGIN = "other.example.com"
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_checkpoint SET note = %s WHERE organization_id = %s AND size = %s",
            [forge(acme, newest.size, newest.root), acme.pk, newest.size],
        )
    assert dotenv("audit", "list").code == 7
    assert dotenv("audit", "keys", "--pin").code == 0
    assert dotenv("audit", "list").code == 0


def keep_instead(tmp_path: Path, acme: Organization, note: str) -> Path:
    [path] = [
        path
        for path in (tmp_path / ".config/dotenv-cloud/audit").iterdir()
        if len(path.name) == 64 and acme.ulid in path.read_text()
    ]
    path.write_text(note)
    return path


def test_what_a_client_shows_ends_the_signing_of_that_log_alone(
    acme: Organization, auditor: str, live_server: Any
) -> None:
    other = OrganizationFactory.create()
    grow()
    address = f"{live_server.url}/api/v1/organizations/{acme.slug}/audit/seen"
    headers = {"Authorization": f"Bearer {auditor}"}

    def show(note: str) -> httpx.Response:
        return httpx.post(address, json={"checkpoint": note}, headers=headers)

    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    assert show(newest.note).json() == {"data": {"outcome": "continued", "size": newest.size}}
    # Of another log, of nobody's key, and of no form.
    assert show(forge(other, 5000, b"r" * 32)).status_code == 422
    assert show(newest.note.replace(f"\n{newest.size}\n", "\n9999\n")).status_code == 422
    assert show("nothing").status_code == 422
    assert health.read().stopped_logs == 0

    answer = show(forge(acme, 5000, b"r" * 32))
    assert (answer.status_code, answer.json()["error"]) == (409, "log_not_continued")
    add_entries(acme)
    ProjectFactory.create(organization=other)
    evidence.seal_all()
    worked = evidence.prove_all()
    assert "a client has a checkpoint of 5,000 entries" in worked.set_back[acme.pk]
    assert reading.newest(acme.pk, "owner") == newest
    signed = reading.newest(other.pk, "owner")
    assert signed is not None
    assert signed.size == reading.size(other.pk, "owner")
    assert health.read().stopped_logs == 1
    assert "a client has a checkpoint" in health.read().refusal
    entry = Entry.objects.using("owner").get(action="verify", organization_id=acme.pk)
    assert entry.result == "failed"
    assert "checkpoint of 5000 entries" in entry.context["found"]


# -- A witness


def witness_key(dotenv: Run, *more: str) -> str:
    result = dotenv("audit", "witness", "--show-key", *more)
    assert result.code == 0, result.err
    return result.out.strip()


def test_a_witness_says_when_it_saw_the_log(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path, live_server: Any
) -> None:
    vkey = witness_key(dotenv, "--name", "auditor.example.org/w1")
    key_file = tmp_path / ".config/dotenv-cloud/audit/witness.key"
    assert key_file.stat().st_mode & 0o777 == 0o600
    assert vkey.startswith("auditor.example.org/w1+")
    unknown = dotenv("audit", "witness", "--once")
    assert unknown.code == 0, unknown.err
    assert "None of the signatures is by a witness of this log." in unknown.err

    headers = {"Authorization": f"Bearer {auditor}"}
    base = f"{live_server.url}/api/v1/organizations/{acme.slug}/audit"
    added = httpx.post(f"{base}/witnesses", json={"vkey": vkey}, headers=headers)
    assert added.status_code == 201, added.text
    assert added.json()["data"]["last_seen_at"] is None
    add_entries(acme)
    before = int(time.time())
    seen = dotenv("audit", "witness", "--once")
    assert seen.code == 0, seen.err
    assert seen.err == ""
    note = httpx.get(f"{base}/checkpoint", headers=headers).content
    keys = [verifier.Key.parse(line) for line in dotenv("audit", "keys").out.split()]
    checkpoint = verifier.read_checkpoint(note, keys, [verifier.Key.parse(vkey)])
    [(name, at)] = checkpoint.cosigned
    assert name == "auditor.example.org/w1"
    assert before <= at <= time.time()
    [listed] = httpx.get(f"{base}/witnesses", headers=headers).json()["data"]
    assert listed["last_size"] == checkpoint.size

    # A pack has it too, and who demands another witness is told what is missing.
    proof = tmp_path / "entry.proof"
    entry = Entry.objects.using("owner").get(resource_label="storefront", action="create")
    assert dotenv("audit", "proof", entry.ulid, "-o", str(proof)).code == 0
    offline = ["audit", "verify", str(proof), "--key", dotenv("audit", "keys").out.strip()]
    good = dotenv(*offline, "--witness", vkey)
    assert good.code == 0, good.err
    other = witness_key(dotenv, "--key-file", str(tmp_path / "other.key"), "--name", "other")
    bad = dotenv(*offline, "--witness", other)
    assert bad.code == 7
    assert "missing: other" in bad.err
    assert "OK" not in bad.out

    removed = httpx.delete(f"{base}/witnesses/{listed['id']}", headers=headers)
    assert removed.status_code == 204
    actions = Entry.objects.using("owner").filter(resource_type="witness").order_by("id")
    evidence.seal_all()
    assert [each.action for each in actions] == ["create", "delete"]


@pytest.mark.parametrize("wrong", ["time", "key", "text", "future"])
def test_a_cosignature_that_is_wrong_is_not_kept(
    wrong: str, acme: Organization, auditor: str, dotenv: Run, live_server: Any, tmp_path: Path
) -> None:
    from dotenv_cloud.cli import witness

    who = witness.cosigner(tmp_path / "one.key", "one")
    other = witness.cosigner(tmp_path / "two.key", "one")
    Witness.objects.create(
        organization=acme, name="one", vkey=notes.WitnessKey("one", who.key.public).vkey
    )
    grow()
    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    text = notes.text_of(newest.note)
    now = int(time.time())
    line = who.line(text, now)
    if wrong == "time":
        data = base64.b64decode(line.split(" ")[2])
        data = data[:4] + (now - 5).to_bytes(8, "big") + data[12:]
        line = f"— one {base64.b64encode(data).decode()}\n"
    if wrong == "key":
        line = other.line(text, now)
    if wrong == "text":
        text = text.replace(f"\n{newest.size}\n", "\n1\n")
    if wrong == "future":
        line = who.line(text, now + 10_000)
    answer = httpx.post(
        f"{live_server.url}/api/v1/organizations/{acme.slug}/audit/cosignatures",
        json={"checkpoint": f"{text}\n{line}"},
        headers={"Authorization": f"Bearer {auditor}"},
    )
    assert answer.status_code == 422, answer.text
    assert reading.newest(acme.pk, "owner") == newest


def test_the_key_of_a_witness_is_its_owners_alone(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path
) -> None:
    witness_key(dotenv)
    key_file = tmp_path / ".config/dotenv-cloud/audit/witness.key"
    key_file.chmod(0o644)
    result = dotenv("audit", "witness", "--once")
    assert result.code == 1
    assert "Other users can read the key" in result.err


def test_a_witness_that_saw_more_cosigns_nothing(
    acme: Organization, auditor: str, dotenv: Run, tmp_path: Path
) -> None:
    assert dotenv("audit", "witness", "--once").code == 0
    keep_instead(tmp_path, acme, forge(acme, 9999, b"r" * 32))
    result = dotenv("audit", "witness", "--once")
    assert (result.code, result.out) == (7, "")


# -- The log of heads


def test_a_witness_looks_at_each_round_of_heads(
    acme: Organization,
    auditor: str,
    dotenv: Run,
    settings: Any,
    superuser_connection: Connection,
) -> None:
    OrganizationFactory.create_batch(5)
    settings.AUDIT_HEADS_SECONDS = 0.05
    grow()
    first = dotenv("audit", "witness", "--once")
    assert first.code == 0, first.err
    assert "1 round of heads" in first.out
    for _ in range(3):
        time.sleep(0.06)
        add_entries(acme)
    second = dotenv("audit", "witness", "--once")
    assert second.code == 0, second.err
    assert "3 rounds of heads" in second.out
    # A head that is not the one in its place: another one is there.
    time.sleep(0.06)
    add_entries(acme)
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_round_place SET salt = substring(sha256(salt), 1, 16)"
            " WHERE organization_id = %s AND round = (SELECT max(number) FROM audit_round)",
            [acme.pk],
        )
    third = dotenv("audit", "witness", "--once")
    assert third.code == 7
    assert "this checkpoint is not in the place of its log" in third.err


def test_a_pack_shows_that_everybody_is_shown_the_same_head(
    acme: Organization, auditor: str, dotenv: Run, settings: Any, tmp_path: Path
) -> None:
    OrganizationFactory.create_batch(20)
    settings.AUDIT_HEADS_SECONDS = 0.2
    file = tmp_path / "storefront.zip"
    with evidence.at_work():
        result = dotenv("audit", "evidence", "storefront", "--heads", "-o", str(file))
    assert result.code == 0, result.err
    offline = ["audit", "verify", str(file), "--key", dotenv("audit", "keys").out.strip()]
    good = dotenv(*offline)
    assert (good.code, good.out.splitlines()[-1]) == (0, "OK"), good.err
    with zipfile.ZipFile(file) as pack:
        names = pack.namelist()
        proof = json.loads(base64.b64decode(pack.read("heads").split(b"\n")[1][6:]))
    assert "heads" in names
    # Nothing of another log, and the same length whoever is there.
    assert 24 <= len(proof["path"]) <= 26
    settings.AUDIT_HEADS_SECONDS = 0.0
    with evidence.at_work():
        assert dotenv("audit", "evidence", "--heads", "-o", str(tmp_path / "a.zip")).code == 2


def test_a_round_tells_nothing_of_other_logs(
    acme: Organization, auditor: str, live_server: Any, settings: Any
) -> None:
    settings.AUDIT_HEADS_SECONDS = 0.05
    headers = {"Authorization": f"Bearer {auditor}"}
    address = f"{live_server.url}/api/v1/organizations/{acme.slug}/audit/heads"

    def newest() -> tuple[str, dict[str, Any], int]:
        time.sleep(0.06)
        grow()
        answer = httpx.get(address, headers=headers)
        [found] = answer.json()["data"]
        extra = json.loads(base64.b64decode(found["proof"].split("\n")[1][6:]))
        return answer.text, extra, answer.json()["meta"]["rounds"]

    _, before, rounds = newest()
    others = OrganizationFactory.create_batch(8)
    ProjectFactory.create(organization=others[0])
    text, after, more = newest()
    assert more == rounds + 1
    assert len(after["path"]) == len(before["path"]) == 24
    for other in others:
        head = reading.newest(other.pk, "owner")
        assert head is not None
        assert other.ulid not in text
        assert other.slug not in text
        assert notes.in_base64(head.root) not in text
    # A quiet round is as any other: each hash beside the path is new.
    _, quiet, _ = newest()
    assert not set(quiet["path"]) & set(after["path"])
    tile = httpx.get(f"{address}/tile/entries/000.p/1", headers=headers)
    assert tile.status_code == 404


def test_a_round_places_every_log_where_its_name_says(acme: Organization) -> None:
    texts = {
        uuid.uuid4(): notes.checkpoint_text(f"dotenv.example.com/audit/{n}", n, b"r" * 32)
        for n in range(300)
    }
    root, placed = heads.tree_of(texts)
    leaf = json.dumps({"root": notes.in_base64(root), "time": 1, "v": 1}, separators=(",", ":"))
    key = signing.keys()[0].public
    for text, found in zip(texts.values(), placed.values(), strict=True):
        extra = {
            "leaf": leaf,
            "path": [notes.in_base64(each) for each in found.path],
            "salt": found.salt.hex(),
        }
        name = "dotenv.example.com/audit/heads"
        note = notes.signed(
            notes.checkpoint_text(name, 1, tree.leaf_hash(leaf.encode())), name, signing.keys()
        )
        proof = notes.proof(0, [], note, json.dumps(extra, separators=(",", ":")).encode())
        origin, size, its_root = verifier.three_lines(text)
        checkpoint = verifier.Checkpoint(
            origin, size, its_root, text, (verifier.Key(origin, 1, key),)
        )
        assert verifier.verify_head(proof.encode(), checkpoint, ()).origin == name
        with pytest.raises(verifier.Refused):
            other = checkpoint._replace(origin=f"{origin}0", text=text.replace("\n", "0\n", 1))
            verifier.verify_head(proof.encode(), other, ())
    again, _ = heads.tree_of(texts)
    assert again != root  # nobody can tell from one round to the next what is empty


# -- The index


def test_a_witness_of_the_index_cosigns_only_what_it_recomputed(
    acme: Organization,
    auditor: str,
    dotenv: Run,
    superuser_connection: Connection,
    tmp_path: Path,
) -> None:
    vkey = witness_key(dotenv, "--index")
    assert "/index+" in vkey
    Witness.objects.create(organization=acme, name="index", vkey=vkey)
    add_entries(acme, 600)
    first = dotenv("audit", "witness", "--once", "--index")
    assert first.code == 0, first.err
    add_entries(acme, 300)
    assert dotenv("audit", "witness", "--once", "--index").code == 0
    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    assert vkey.split("+")[0] in newest.note

    # An index that is wrong from the day on which it was signed: the server made it of other keys.
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_head SET index_edge = overlay(index_edge placing '\\x00'::bytea from"
            " octet_length(index_edge) - 5) WHERE organization_id = %s",
            [acme.pk],
        )
    add_entries(acme, 520)
    wrong = dotenv("audit", "witness", "--once", "--index")
    assert (wrong.code, wrong.out) == (7, "")
    assert "it commits to another index than that of the" in wrong.err
    newest = reading.newest(acme.pk, "owner")
    assert newest is not None
    assert vkey.split("+")[0] not in newest.note


# -- A witness for others


@pytest.fixture
def serving(tmp_path: Path, acme: Organization) -> Iterator[tuple[str, str]]:
    """A process of `witness --serve` for the log `heads` and that of acme: its address and key."""
    key = signing.keys()[0].public
    logs = [notes.vkey(signing.origin(log), key) for log in (notes.HEADS, acme.pk)]
    command = [sys.executable, "-m", "dotenv_cloud.cli", "audit", "witness"]
    show = [*command, "--show-key", "--name", "public.example.org/w"]
    vkey = subprocess.run(show, check=True, capture_output=True, text=True, cwd=REPOSITORY).stdout
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    process = subprocess.Popen(
        [*command, "--serve", f"127.0.0.1:{port}", *(f"--log={log}" for log in logs)],
        cwd=REPOSITORY,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert "Witnessing 2 logs" in process.stdout.readline()
    yield f"http://127.0.0.1:{port}", vkey.strip()
    process.send_signal(signal.SIGTERM)
    assert process.wait(10) == 0


def test_checkpoints_are_sent_to_witnesses_and_their_cosignatures_served(
    acme: Organization, auditor: str, serving: tuple[str, str], settings: Any, live_server: Any
) -> None:
    url, vkey = serving
    settings.AUDIT_WITNESSES = ((vkey, url),)
    settings.AUDIT_HEADS_SECONDS = 0.05
    grow()
    call_command("audit_witness", organization=acme.slug, add=vkey, url=url)
    call_command("audit_witness")
    headers = {"Authorization": f"Bearer {auditor}"}
    base = f"{live_server.url}/api/v1/organizations/{acme.slug}/audit"
    for _ in range(2):
        for address in ("checkpoint", "heads/checkpoint"):
            note = httpx.get(f"{base}/{address}", headers=headers).content
            origin = note.split(b"\n", 1)[0].decode()
            keys = [verifier.Key(origin, 1, signing.keys()[0].public)]
            seen = verifier.read_checkpoint(note, keys, [verifier.Key.parse(vkey)])
            assert [name for name, _ in seen.cosigned] == ["public.example.org/w"], address
        time.sleep(0.06)
        add_entries(acme)
        call_command("audit_witness")
    assert health.read().witness_age is not None


def test_a_witness_that_is_away_keeps_nobody_waiting(
    acme: Organization, auditor: str, settings: Any, live_server: Any
) -> None:
    vkey = notes.WitnessKey("away", signing.keys()[0].public).vkey
    settings.AUDIT_WITNESSES = ((vkey, "http://127.0.0.1:9"),)
    settings.AUDIT_HEADS_SECONDS = 0.05
    grow()
    from django.core.management.base import CommandError

    with pytest.raises(CommandError):
        call_command("audit_witness")
    base = f"{live_server.url}/api/v1/organizations/{acme.slug}/audit"
    headers = {"Authorization": f"Bearer {auditor}"}
    assert httpx.get(f"{base}/checkpoint", headers=headers).status_code == 200


@pytest.mark.parametrize("beginning", [b"HTTP/1.1 200 OK\r\nA: ", b"HTTP/1.1 200 OK\r\n\r\n"])
def test_a_witness_that_answers_a_byte_at_a_time_is_given_up(
    beginning: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(posting, "SECONDS", 0.5)

    def drip(server: socket.socket) -> None:
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(beginning)
            for _ in range(100):
                connection.sendall(b"x")
                time.sleep(0.1)

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=drip, args=(server,))
        thread.start()
        started = time.monotonic()
        with pytest.raises(posting.PostError, match="took longer"):
            posting.post(f"http://127.0.0.1:{server.getsockname()[1]}/", b"", "text/plain", 1000)
        assert time.monotonic() - started < 3
        thread.join()


def _request(old: int, checkpoint: str, path: list[bytes]) -> bytes:
    return notes.consistency(old, path, checkpoint).encode()


def test_add_checkpoint_answers_as_the_specification_says(
    acme: Organization, serving: tuple[str, str], tmp_path: Path
) -> None:
    url = f"{serving[0]}/add-checkpoint"
    leaves = [tree.leaf_hash(bytes([n])) for n in range(8)]

    def note(size: int, hashes: list[bytes] = leaves) -> str:
        return forge(acme, size, tree.root_of(hashes[:size]))

    def path(old: int, size: int) -> list[bytes]:
        def nodes(level: int, place: int) -> bytes:
            return tree.root_of(leaves[place << level : (place + 1) << level])

        return tree.consistency(nodes, old, size)

    def send(body: bytes) -> httpx.Response:
        return httpx.post(url, content=body)

    stranger = note(3).replace(f"audit/{acme.ulid}\n", "audit/nobody\n", 1)
    assert send(_request(0, stranger, [])).status_code == 404
    unsigned = note(3).rpartition(" ")[0] + " " + base64.b64encode(b"x" * 68).decode() + "\n"
    assert send(_request(0, unsigned, [])).status_code == 403
    assert send(b"nonsense").status_code == 400
    assert send(_request(0, note(3), [b"h" * 32])).status_code == 422
    first = send(_request(0, note(3), []))
    assert first.status_code == 200, first.text
    assert first.text.startswith("— public.example.org/w ")
    stale = send(_request(0, note(5), []))
    assert (stale.status_code, stale.text) == (409, "3\n")
    assert stale.headers["Content-Type"] == "text/x.tlog.size"
    assert send(_request(6, note(5), [])).status_code == 400
    assert send(_request(3, note(5), [b"h" * 32])).status_code == 422
    assert send(_request(3, note(5), path(3, 5))).status_code == 200
    other = [*leaves[:4], b"o" * 32]
    assert send(_request(5, note(5, other), [])).status_code == 409
    [kept] = tmp_path.rglob("witnessed/*.other")
    assert kept.read_text() == note(5, other)
    assert send(_request(5, note(5), [])).status_code == 200  # the same again
    assert httpx.post(f"{serving[0]}/elsewhere", content=b"").status_code == 404
    assert send(b"x" * 100_000).status_code == 413


def test_slow_clients_keep_no_other_client_waiting(serving: tuple[str, str]) -> None:
    host, port = serving[0].removeprefix("http://").split(":")
    slow = [socket.create_connection((host, int(port))) for _ in range(12)]
    for each in slow:
        each.sendall(b"POST /add-checkpoint HTTP/1.1\r\nContent-Length: 500\r\n\r\nold")
    started = time.monotonic()
    assert httpx.post(f"{serving[0]}/add-checkpoint", content=b"x").status_code == 400
    assert time.monotonic() - started < 2
    for each in slow:
        each.close()


def test_of_two_forks_sent_at_once_one_is_cosigned(
    acme: Organization, serving: tuple[str, str]
) -> None:
    bodies = [_request(0, forge(acme, 2, bytes([n]) * 32), []) for n in range(8)]
    answers: list[int] = []
    threads = [
        threading.Thread(
            target=lambda body: answers.append(
                httpx.post(f"{serving[0]}/add-checkpoint", content=body).status_code
            ),
            args=(body,),
        )
        for body in bodies
    ]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert sorted(answers) == [200] + [409] * 7
