"""What the command says of a pack that holds: what is proved, by whose word, and no more."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace
from typing import Any

from tests.verifier.conftest import AFTER, APP, FROM, SINCE, TO, UNTIL, Verify, holds, refused
from tests.verifier.making import DAY, JANE, NOVEMBER, ORIGIN, WITNESS, Log, b64, root, sha

QUESTION = (*APP, *SINCE, *UNTIL)


def test_a_filtered_answer(log: Log, asked: dict[str, bytes], verify: Verify) -> None:
    said = verify(asked, *QUESTION, "--witness", WITNESS.vkey)
    assert said.out == (
        f"{ORIGIN}, 700 entries, signed by key c285d06c; cosigned 2025-11-06 UTC by"
        f" {WITNESS.name}\n"
        f"fingerprint 700-{root(log.hashes).hex()[:12]}\n"
        "Of entries 1 to 700, 4 have the path my-app/production or below and a time from"
        " 2025-11-02 to 2025-11-05 UTC, no others; neither it nor my-app was renamed in that"
        " time.\n"
        "As the server has it, the window was over: it entered the request for this pack as entry"
        " 700, at 2025-11-06 UTC.\n"
        "The witness saw this log on 2025-11-06 UTC, after the window.\n"
        "Nothing was altered, removed, inserted or moved.\n"
        "OK\n"
    )
    assert said.code == 0 and not said.err


def test_the_question_of_the_pack_is_said_if_none_is_asked(
    asked: dict[str, bytes], verify: Verify
) -> None:
    holds(verify(asked), "4 have the path my-app/production or below and a time from 2025-11-02")


def test_without_a_witness_the_time_is_the_servers_word(log: Log, verify: Verify) -> None:
    pack = log.filter("path\nmy-app/production", since=FROM, until=TO, request=700)
    holds(verify(pack, *QUESTION), "That time is the server's word; no witness saw the log after")
    early = pack | {"checkpoint": log.cosigned(AFTER - 3 * DAY // 1000, WITNESS)}
    said = verify(early, *QUESTION, "--witness", WITNESS.vkey)
    holds(said, "That time is the server's word; no witness saw the log after the window.")


def test_a_pack_requested_before_its_window_was_over(log: Log, verify: Verify) -> None:
    until = ("--since", "2025-11-02", "--until", "2025-11-09")
    pack = log.filter("path\nmy-app/production", since=FROM, until=NOVEMBER + 8 * DAY, request=700)
    said = verify(pack, *APP, *until)
    refused(said, "It is not shown that the window was over; the log had come to 2025-11-07")
    assert "Nothing was altered" not in said.out
    holds(verify(pack, *APP, *until, "--as-of"), "This is so as of entry 700; the log had come to")


def test_a_closed_pack_claims_what_is_before_its_tail(log: Log, verify: Verify) -> None:
    pack = log.filter("path\nmy-app/production", closed=True)
    said = verify(pack, *APP, "--as-of")
    holds(said, "Of entries 1 to 512, 5 have the path my-app/production or below, no others")
    # Nobody is given one instead of a whole one without noticing.
    refused(verify(pack, *APP), "Entries 513 to 700 are not in it.")
    assert pack["tail.ndjson"].count(b"\n") == 1


def test_conditions_besides_the_key(log: Log, verify: Verify) -> None:
    pack = log.filter("path\nmy-app/production")
    said = verify(pack, *APP, "--action", "delete")
    holds(said, "Of entries 1 to 700, 5 have the action delete and the path my-app/production or")
    said = verify(pack, *APP, "--action", "read,update", "--actor", f"user:{JANE}")
    holds(said, "1 has the action read or update and the path my-app/production or below and the")
    said = verify(pack, *APP, "--result", "denied")
    holds(said, "none has the result denied and the path my-app/production or below; neither it")


def test_any_of_several_values(log: Log, verify: Verify) -> None:
    pack = log.filter("action\ndelete", "action\nexport")
    holds(
        verify(pack, "--action", "export,delete"), "6 have the action delete or export, no others"
    )
    refused(verify(pack, "--action", "export"), "pack.json: it answers another key than was asked")


def test_conditions_on_what_can_be_redacted(log: Log, verify: Verify) -> None:
    deletions = [n for n, entry in enumerate(log.entries, 1) if "action\ndelete" in entry.keys]
    pack = log.leaves(deletions)
    question = ("--action", "delete", "--actor", "jane@acme.example")
    holds(verify(pack, *question), "5 have the action delete and the actor label jane@acme.example")
    lines = pack["entries/000000000000.ndjson"]
    for number in deletions[:2]:
        lines = lines.replace(log.entries[number - 1].line, log.entries[number - 1].redacted(0))
    said = verify(pack | {"entries/000000000000.ndjson": lines}, *question)
    holds(said, "3 have the action delete and the actor label", "cannot be told: 2")


def test_withheld_entries(log: Log, verify: Verify) -> None:
    pack = log.filter("path\nmy-app/production", withheld=[120])
    holds(
        verify(pack, *APP),
        "no others but perhaps those that are withheld.",
        "1 withheld: proved to be there, not shown.",
    )
    whole = log.range()
    entries = whole["entries/000000000000.ndjson"]
    entries = entries.replace(log.entries[119].line, log.entries[119].withheld)
    whole["entries/000000000000.ndjson"] = entries
    holds(verify(whole), "1 withheld: proved to be there, not shown.")
    refused(verify(whole, *APP), "Whether 1 withheld entry matches is not shown.")
    refused(verify(whole, "--whole"), "entry 120: it is withheld, so its block cannot be indexed")


def test_a_pack_of_leaves_without_a_match(log: Log, verify: Verify) -> None:
    deletions = [n for n, entry in enumerate(log.entries, 1) if "action\ndelete" in entry.keys]
    holds(
        verify(log.leaves(deletions), "--action", "delete"), "5 have the action delete, no others"
    )
    said = verify(log.leaves(deletions[1:]), "--action", "delete")
    refused(said, "entries/000000000000.ndjson, entry 5: it matches, but its line is not given")
    holds(verify(log.leaves([])), "Entries 1 to 700 are all here by their leaf data")


def test_keys_and_times_that_cannot_be_read(log: Log, verify: Verify, tmp_path: Any) -> None:
    said = verify(log.range(), "--since", "yesterday")
    assert said.code == 2 and "is not a day or a moment" in said.err
    file = tmp_path / "log.vkey"
    file.write_text(f"{log.signer.vkey}\n")
    holds(verify(log.range(), key=str(file)))
    forged = log.signer.vkey.replace("+c285d06c+", f"+{b64(b'x')}+")
    assert verify(log.range(), key=forged).code == 2


def test_one_entry(log: Log, verify: Verify) -> None:
    holds(
        verify(log.proof(5)),
        "The entry is number 5 of the log, as it was sealed: delete, target my-app/production, by"
        " user jane@acme.example, success, at 2025-11-01 01:12:00 UTC.",
    )


def test_an_actor_by_the_id_alone(log: Log, verify: Verify) -> None:
    keys = [f"actor\n{kind}\n{JANE}" for kind in ("user", "api_key")]
    holds(verify(log.filter(*keys), "--actor", JANE), f"700 have the actor api_key {JANE} or user")


def test_a_withheld_renaming_is_not_denied(verify: Verify) -> None:
    log = Log()
    log.fill(20).add("new-app", "update", type="project", was="my-app")
    log.fill(300, path="new-app/production")
    said = verify(log.filter("path\nmy-app/production", withheld=[21]), *APP)
    holds(said, "1 withheld: proved to be there, not shown.")
    assert "renamed" not in said.out


def test_a_part_that_is_not_json_is_refused_where_it_is_shown(verify: Verify) -> None:
    log = Log().fill(1)
    [entry] = log.entries
    _, *parts, _ = entry.line.split(b"\t")
    values = [part[:-1].partition(b":")[2] for part in parts]
    leaf = json.loads(entry.leaf)
    leaf["parts"] = ""
    forged = Log()
    forged._append(leaf, entry.time, [b'{"label":"a","label":"b"}', *values[1:]], bytes(16))
    stream = hashlib.sha512(b"dotenv-audit-salts/v1\n" + bytes(16)).digest()
    committed = [
        sha(b"\x05", bytes([n]), stream[16 * n : 16 * n + 16], value)
        for n, value in enumerate([b'{"label":"a","label":"b"}', *values[1:]])
    ]
    made = forged.entries[0]
    right = made.leaf.replace(
        b'"parts":""', f'"parts":"{b64(sha(bytes([6]), *committed))}"'.encode()
    )
    forged.entries[0] = replace(made, leaf=right, line=made.line.replace(made.leaf, right))
    refused(verify(forged.proof(1)), "a member is given twice")
    holds(verify(forged.range()))
