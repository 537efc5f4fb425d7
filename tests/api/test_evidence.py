"""Evidence over HTTP: checkpoints, tiles, proofs and packs, each checked by what it promises."""

from __future__ import annotations

import base64
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from audit.evidence import leaf, notes, signing, tree
from audit.models import Entry
from dotenv_cloud import verifier
from dotenv_cloud.cli.evidence_verify import Trust
from organizations import ulid
from organizations.models import Organization, Project
from tests import evidence
from tests.api.conftest import Api, caller
from tests.conftest import Connection
from tests.factories import OrganizationFactory, ProjectFactory
from tests.promises.test_evidence import _root_by_path, _roots_by_consistency, _verified

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "sealer", "owner"])

LOG = "/organizations/{o}/audit"


@pytest.fixture
def acme(transactional_db: None) -> Organization:
    """More than a tile of entries."""
    signing.keys.cache_clear()
    organization = OrganizationFactory.create(name="Acme")
    Project.objects.bulk_create(
        [Project(organization=organization, name="x", slug=f"x-{n}") for n in range(300)]
    )
    ProjectFactory.create(organization=organization, slug="storefront")
    evidence.seal_all()
    evidence.prove_all()
    return organization


@pytest.fixture
def auditor(acme: Organization) -> Api:
    return caller(acme, "audit:read")


@pytest.fixture
def at_work(acme: Organization) -> Iterator[None]:
    """A sealer and a worker of evidence, meanwhile."""
    with evidence.at_work():
        yield


def parsed(note: str) -> tuple[str, int, bytes]:
    origin, size, root = note.split("\n")[:3]
    return origin, int(size), base64.b64decode(root)


def test_the_checkpoint_is_signed_and_kept(
    acme: Organization, auditor: Api, owner_connection: Connection
) -> None:
    answer = auditor.get(f"{LOG}/checkpoint")
    assert answer.status_code == 200
    assert answer["Content-Type"] == "text/plain; charset=utf-8"
    note = answer.content.decode()
    origin, size, root = parsed(note)
    assert origin == f"dotenv.example.com/audit/{acme.ulid}"
    assert (size, root) == evidence.size_and_root(owner_connection, acme.pk)
    assert _verified(note, origin, signing.keys()[0].public)
    assert owner_connection.execute(
        "SELECT is_kept FROM audit_checkpoint WHERE organization_id = %s AND size = %s",
        [acme.pk, size],
    ).fetchone() == (True,)
    short = auditor.send("GET", f"/api/../audit/{acme.ulid}/checkpoint")
    assert short.status_code == 404


def fetch(api: Api, acme: Organization, path: str, **more: Any) -> Any:
    """By the log's origin, as clients of tlog-tiles do."""
    headers = {"authorization": f"Bearer {api.token}", **more}
    return api.client.get(f"/audit/{acme.ulid}/{path}", headers=headers)


def test_a_client_of_tlog_tiles_can_rebuild_the_tree(acme: Organization, auditor: Api) -> None:
    note = fetch(auditor, acme, "checkpoint").content.decode()
    _, size, root = parsed(note)
    assert size > 256
    hashes: list[bytes] = []
    data: list[bytes] = []
    for number, width in ((0, 256), (1, size - 256)):
        suffix = "" if width == 256 else f".p/{width}"
        tile = fetch(auditor, acme, f"tile/0/{number:03}{suffix}")
        bundle = fetch(auditor, acme, f"tile/entries/{number:03}{suffix}")
        for answer in (tile, bundle):
            assert answer.status_code == 200
            assert answer["Content-Type"] == "application/octet-stream"
        assert tile["Cache-Control"] == "private, max-age=31536000, immutable"
        assert bundle["Cache-Control"] == "no-store"
        hashes += tree.split(tile.content)
        data += _unbundled(bundle.content)
    assert [tree.leaf_hash(each) for each in data] == hashes
    assert tree.root_of(hashes) == root
    assert all(leaf.PATTERN.fullmatch(each.decode()) for each in data)
    assert '"index":{' in data[256].decode()
    assert fetch(auditor, acme, "tile/1/000.p/1").content == tree.root_of(hashes[:256])


def _unbundled(content: bytes) -> list[bytes]:
    found = []
    while content:
        length = int.from_bytes(content[:2], "big")
        found.append(content[2 : 2 + length])
        content = content[2 + length :]
    return found


def test_what_does_not_change_is_not_sent_twice(acme: Organization, auditor: Api) -> None:
    first = fetch(auditor, acme, "tile/0/000")
    again = fetch(auditor, acme, "tile/0/000", **{"if-none-match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize(
    "path",
    [
        "0/001",
        "0/001.p/255",
        "0/000.p/0",
        "0/000.p/256",
        "0/0",
        "0/x000/000",
        "64/000",
        "00/000",
        "1/000",
        "entries/002.p/1",
        "0/x999/x999/x999/x999/x999/999",
        "0/000/",
        "-1/000",
    ],
)
def test_a_tile_that_is_not_there_is_not_found(acme: Organization, auditor: Api, path: str) -> None:
    assert fetch(auditor, acme, f"tile/{path}").status_code == 404


def test_an_entry_has_a_proof_with_its_line(
    acme: Organization, auditor: Api, owner_connection: Connection
) -> None:
    entry = Entry.objects.using("owner").get(
        organization_id=acme.pk, action="create", resource_label="storefront"
    )
    answer = auditor.get(f"{LOG}/entries/{ulid.to_text(entry.pk)}/proof")
    assert answer.status_code == 200
    head, _, note = answer.content.decode().partition("\n\n")
    kind, extra, index, *path = head.split("\n")
    assert kind == "c2sp.org/tlog-proof@v1"
    assert entry.seq is not None
    assert index == f"index {entry.seq - 1}"
    line = base64.b64decode(extra.removeprefix("extra "))
    shown = json.loads(line)
    assert shown["leaf"]["id"] == ulid.to_text(entry.pk)
    assert shown["detail"]["changes"]["slug"] == [None, "storefront"]
    data = line.split(b",\t")[0].removeprefix(b'{"leaf":')
    _, size, root = parsed(note)
    hashes = [base64.b64decode(each) for each in path]
    assert _root_by_path(tree.leaf_hash(data), entry.seq - 1, size, hashes) == root


def test_an_entry_without_a_signed_head_has_no_proof_yet(acme: Organization, auditor: Api) -> None:
    ProjectFactory.create(organization=acme, slug="new")
    entry = Entry.objects.using("owner").get(resource_label="new", action="create")
    path = f"{LOG}/entries/{ulid.to_text(entry.pk)}/proof"
    for is_sealed in (False, True):
        if is_sealed:
            evidence.seal_all()
        answer = auditor.get(path)
        assert answer.status_code == 409
        assert answer.json()["error"] == "not_sealed_yet"
        assert answer["Retry-After"] == "1"
    evidence.prove_all()
    assert auditor.get(path).status_code == 200
    missing = auditor.get(f"{LOG}/entries/01ARZ3NDEKTSV4RRFFQ69G5FAV/proof")
    assert missing.status_code == 404


def test_the_log_of_before_is_shown_to_be_part_of_the_log(
    acme: Organization, auditor: Api, owner_connection: Connection
) -> None:
    hashes = evidence.tiles(owner_connection, acme.pk)
    for old in (0, 1, 255, 256, len(hashes)):
        head, _, note = (
            auditor.get(f"{LOG}/consistency?old={old}").content.decode().partition("\n\n")
        )
        _, size, root = parsed(note)
        first, *path = head.rstrip("\n").split("\n")
        assert first == f"old {old}"
        found = [base64.b64decode(each) for each in path]
        assert _roots_by_consistency(old, size, found, tree.root_of(hashes[:old]), root)
    more = auditor.get(f"{LOG}/consistency?old={len(hashes) + 1}")
    assert more.status_code == 422
    assert "set back" in more.json()["errors"]["old"][0]
    for wrong in ("", "x", "-1", "01", "1&old=2"):
        assert auditor.get(f"{LOG}/consistency?old={wrong}").status_code == 422


def test_keys_are_listed_and_announced(acme: Organization, auditor: Api) -> None:
    public = signing.keys()[0].public
    listed = auditor.get(f"{LOG}/keys").content.decode()
    assert listed == f"{notes.vkey(signing.origin(acme.pk), public)}\n"
    announced = auditor.client.get("/.well-known/dotenv-audit-keys").content.decode()
    name = "dotenv.example.com/audit/keys"
    assert announced.startswith(f"{name}\n1\n{base64.b64encode(notes.ED25519 + public).decode()}\n")
    assert _verified(announced, name, public)


# -- Packs


def members(answer: Any) -> dict[str, bytes]:
    assert answer.status_code == 200, answer.content
    assert answer["Content-Type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(b"".join(answer.streaming_content))) as pack:
        assert pack.testzip() is None
        return {name: pack.read(name) for name in pack.namelist()}


def hashes_in(lines: bytes) -> list[bytes]:
    found = []
    for line in lines.split(b"\n")[:-1]:
        data = line
        if b"\t" in line:
            data, *parts = line.removeprefix(b'{"leaf":').split(b",\t")
            salt = bytes.fromhex(json.loads(line)["salt"])
            pieces = tuple(part.split(b":", 1)[1] for part in parts[:4])
            digest = leaf.digest(salt, pieces)  # type: ignore[arg-type]
            assert json.loads(data)["parts"] == base64.b64encode(digest).decode()
        found.append(tree.leaf_hash(data))
    return found


def test_a_pack_of_the_whole_log_has_every_line(
    acme: Organization, at_work: None, owner_connection: Connection
) -> None:
    found = members(caller(acme, "audit:export", "audit:read").get(f"{LOG}/evidence"))
    assert list(found) == ["checkpoint", "README.txt", "entries/000000000000.ndjson", "pack.json"]
    _, size, root = parsed(found["checkpoint"].decode())
    hashes = hashes_in(found["entries/000000000000.ndjson"])
    assert len(hashes) == size
    assert tree.root_of(hashes) == root
    said = json.loads(found["pack.json"])
    assert said == {
        "v": 1,
        "kind": "range",
        "first": 0,
        "entries": size,
        "edge": [],
        "request": said["request"],
        "vkeys": [notes.vkey(signing.origin(acme.pk), signing.keys()[0].public)],
    }
    request = json.loads(found["entries/000000000000.ndjson"].split(b"\n")[said["request"] - 1])
    assert (request["leaf"]["action"], request["leaf"]["resource"]["type"]) == (
        "export",
        "audit_log",
    )
    assert request["detail"]["context"] == {"format": "evidence"}
    end = Entry.objects.using("owner").get(organization_id=acme.pk, action="end_export")
    assert end.context == {
        "format": "evidence",
        "count": size,
        "size": size,
        "root": base64.b64encode(root).decode(),
    }


def test_a_redacted_pack_proves_the_same_and_shows_less(
    acme: Organization, at_work: None, tmp_path: Path
) -> None:
    api = caller(acme, "audit:export", "audit:read")
    for query in ("redact=actor,origin,detail", "redact=origin&resource=storefront"):
        answer = api.get(f"{LOG}/evidence?{query}")
        content = b"".join(answer.streaming_content)
        path = tmp_path / "pack.zip"
        path.write_bytes(content)
        key = notes.vkey(signing.origin(acme.pk), signing.keys()[0].public)
        report = verifier.verify(path, Trust([verifier.Key.parse(key)], []), as_of=True)
        assert report.matches
        with zipfile.ZipFile(path) as pack:
            lines = [
                line
                for name in pack.namelist()
                if name.startswith("entries")
                for line in pack.read(name).splitlines()
            ]
        shown = [json.loads(line) for line in lines]
        for each in shown:
            assert each["origin"].startswith("sha256:")
            about_the_log = each["leaf"]["action"] == "export"
            if "detail" in query and not about_the_log:
                assert each["detail"].startswith("sha256:")
            else:
                # What an entry about the log itself says is never left out.
                assert "context" in each["detail"]
    asked = Entry.objects.using("owner").filter(organization_id=acme.pk, action="export")
    assert [entry.context["redacted"] for entry in asked.order_by("id")] == [
        "actor, origin, detail",
        "origin",
    ]
    assert api.get(f"{LOG}/evidence?redact=name").status_code == 422


def test_a_pack_of_a_question_has_the_leaf_data_of_all_others(
    acme: Organization, at_work: None
) -> None:
    api = caller(acme, "audit:export", "audit:read")
    found = members(api.get(f"{LOG}/evidence?resource=storefront&kind=leaves"))
    _, size, root = parsed(found["checkpoint"].decode())
    lines = found["entries/000000000000.ndjson"]
    assert tree.root_of(hashes_in(lines)) == root
    whole = [json.loads(line) for line in lines.split(b"\n")[:-1] if b"\t" in line]
    labels = [each["leaf"]["resource"]["label"] for each in whole]
    assert sorted(labels) == ["storefront", "storefront/encryption-key/1"]
    said = json.loads(found["pack.json"])
    assert (said["kind"], said["entries"]) == ("leaves", size)
    assert said["question"] == {"resource": ["storefront"], "views": ["true"]}
    end = Entry.objects.using("owner").get(organization_id=acme.pk, action="end_export")
    assert end.context["count"] == 2


def test_a_pack_of_a_question_is_proved_by_the_index_where_that_can(
    acme: Organization, at_work: None
) -> None:
    api = caller(acme, "audit:export", "audit:read")
    found = members(api.get(f"{LOG}/evidence?resource=storefront"))
    assert list(found) == [
        "checkpoint",
        "README.txt",
        "index.json",
        "entries.ndjson",
        "tail.ndjson",
        "proof",
        "pack.json",
    ]
    said = json.loads(found["pack.json"])
    assert (said["kind"], said["key"]) == ("filter", "path\nstorefront")
    assert (said["since"], said["until"]) == (0, 2**48)
    assert "request" in said
    assert len(found["entries.ndjson"].splitlines()) == 2
    for query in ("q=storefront", "actor=somebody", "resource=store*", "field=name"):
        other = members(api.get(f"{LOG}/evidence?{query}"))
        assert json.loads(other["pack.json"])["kind"] == "leaves"
        refused = api.get(f"{LOG}/evidence?kind=filter&{query}")
        assert refused.status_code == 422
        assert "The index cannot prove" in refused.json()["errors"]["kind"][0]


def test_a_pack_is_not_made_before_its_request_is_in_the_log(
    acme: Organization, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("audit.export.pack_requests.SEALED_IN", 0)
    answer = caller(acme, "audit:export", "audit:read").get(f"{LOG}/evidence")
    assert answer.status_code == 409
    assert answer.json()["error"] == "not_sealed_yet"


def test_packs_need_the_ability_to_export(acme: Organization, auditor: Api) -> None:
    assert auditor.get(f"{LOG}/evidence").status_code == 403
    strange = caller(acme, "audit:export", "audit:read")
    for query in ("kind=filter", "kind=leaves", "kind=x", "kind=range&action=create", "nonsense=1"):
        assert strange.get(f"{LOG}/evidence?{query}").status_code == 422


def test_an_entry_that_was_altered_is_refused_and_recorded(
    acme: Organization, auditor: Api, superuser_connection: Connection, at_work: None
) -> None:
    with superuser_connection.transaction():
        superuser_connection.execute("SET LOCAL session_replication_role = replica")
        superuser_connection.execute(
            "UPDATE audit_ledger SET actor_label = 'nobody' WHERE organization_id = %s AND seq = 3",
            [acme.pk],
        )
    answer = fetch(auditor, acme, "tile/entries/000")
    assert answer.status_code == 500
    assert answer.json()["error"] == "evidence_mismatch"
    assert "entry 3 " in answer.json()["message"]
    assert fetch(auditor, acme, "tile/0/000").status_code == 200
    exporter = caller(acme, "audit:export", "audit:read")
    pack = exporter.get(f"{LOG}/evidence")
    with pytest.raises(Exception, match="entry 3 does not give"):
        list(pack.streaming_content)
    found = Entry.objects.using("owner").filter(organization_id=acme.pk, action="verify")
    assert [(each.result, each.context) for each in found] == [("failed", {"number": 3})] * 2


def test_nobody_reaches_another_organizations_evidence(acme: Organization) -> None:
    rival = OrganizationFactory.create(name="Rival")
    ProjectFactory.create(organization=rival)
    evidence.seal_all()
    evidence.prove_all()
    stranger = caller(rival)
    for path in (
        "checkpoint",
        "tile/0/000",
        "tile/entries/000",
        "consistency?old=1",
        "keys",
        "evidence",
    ):
        answer = stranger.get(f"/organizations/{acme.slug}/audit/{path}")
        assert answer.status_code == 404
    for path in ("checkpoint", "tile/0/000", "tile/entries/000"):
        assert fetch(stranger, acme, path).status_code == 404
        assert stranger.client.get(f"/audit/{acme.ulid}/{path}").status_code == 401
    entry = Entry.objects.using("owner").filter(organization_id=acme.pk).first()
    assert entry is not None
    proof = stranger.get(f"/organizations/{rival.slug}/audit/entries/{entry.ulid}/proof")
    assert proof.status_code == 404


def test_before_anything_was_signed_there_is_no_checkpoint(transactional_db: None) -> None:
    organization = OrganizationFactory.create(name="New")
    answer = caller(organization, "audit:read").get(f"{LOG}/checkpoint")
    assert (answer.status_code, answer.json()["error"]) == (404, "no_checkpoint")
