"""Secrets from the command line, against the service itself: pushed, pulled, compared, restored."""

from __future__ import annotations

import json
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction

from audit.models import Entry
from dotenv_cloud.cli import crypto as cli_crypto
from dotenv_cloud.formats import env
from keys import crypto, rotation
from keys.models import Secret, SecretVersion
from organizations.models import Organization, Project, Target
from tests.cli.recorder import REPOSITORY, Result, Run
from tests.factories import ApiKeyFactory, EnvironmentFactory, OrganizationFactory, UserFactory

pytestmark = pytest.mark.django_db(transaction=True, databases=["default", "owner", "sealer"])

SHOP = REPOSITORY / "tests" / "cli" / "shop.env"
KEY, NEXT = "a key that the clients of the vault hold", "the key that comes after it, for the vault"


@pytest.fixture(autouse=True)
def quick_derivation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(crypto, "ITERATIONS", 100_000)
    monkeypatch.setattr(cli_crypto, "ITERATIONS", 100_000)


@pytest.fixture(autouse=True)
def signed_in(live_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    owner = UserFactory.create(email="olivia@acme.example", name="Olivia")
    acme = OrganizationFactory.create(name="Acme", owner=owner)
    issued = ApiKeyFactory.create(organization=acme, created_by=owner)
    EnvironmentFactory.create(target__project__organization=acme)
    monkeypatch.setenv("DOTENV_API_URL", live_server.url)
    monkeypatch.setenv("DOTENV_API_KEY", issued.token)


@pytest.fixture
def vault(dotenv: Run, tmp_path: Path) -> dict[str, str]:
    """A project whose key is in two files: the current one, and the next."""
    for name, key in (("key", KEY), ("next", NEXT)):
        (tmp_path / name).write_text(f"{key}\n")
    made = dotenv(
        *("project", "create", "Vault", "--storage-mode", "client"),
        *("--client-key", str(tmp_path / "key")),
    )
    assert (made.code, made.out) == (0, "vault\n"), made.err
    return {"key": str(tmp_path / "key"), "next": str(tmp_path / "next")}


def done(result: Result) -> Result:
    assert result.code == 0, result.err
    return result


def write(path: Path, text: str) -> str:
    path.write_text(text)
    return str(path)


def test_what_is_pushed_is_pulled_byte_for_byte(dotenv: Run, tmp_path: Path) -> None:
    pushed = SHOP.read_bytes()
    assert pushed.count(b"\n") == 199 and not pushed.endswith(b"\n")
    done(dotenv("push", "my-app", str(SHOP)))
    pulled = tmp_path / "there" / ".env"
    done(dotenv("pull", "my-app", "-o", str(pulled)))
    assert pulled.read_bytes() == pushed
    assert stat.S_IMODE(pulled.stat().st_mode) == 0o600
    assert dotenv("pull", "my-app").out == pushed.decode()
    assert b"hunter2" not in bytes(Secret.objects.get().content)


def test_a_vault_gives_back_byte_for_byte_too(
    dotenv: Run, vault: dict[str, str], tmp_path: Path
) -> None:
    client = ("--client-key", vault["key"])
    done(dotenv("push", "vault", str(SHOP), *client))
    done(dotenv("pull", "vault", "-o", str(tmp_path / "out"), *client))
    assert (tmp_path / "out").read_bytes() == SHOP.read_bytes()
    [wrong] = [dotenv("pull", "vault", "--client-key", vault["next"])]
    assert (wrong.code, wrong.out) == (5, "")
    assert "Check the key." in wrong.err
    refused = dotenv("push", "vault", str(SHOP), "--force", "--client-key", vault["next"])
    assert refused.code == 5
    assert "proof" in refused.err


def test_levels_are_merged_sorted_and_the_deepest_wins(dotenv: Run, tmp_path: Path) -> None:
    path = "my-app/backend/production"
    for place, text in (
        ("my-app", "B=1\nA=one two\n"),
        ("my-app/backend", "B=2\n"),
        (path, "C=$B # rest\n"),
    ):
        done(dotenv("push", place, write(tmp_path / "f", text)))
    assert dotenv("pull", path).out == "A='one two'\nB=2\nC='$B'\n"
    assert dotenv("pull", path, "--resolve").out == "A='one two'\nB=2\nC=2\n"
    assert dotenv("pull", path, "--level-only").out == "C=$B # rest\n"
    assert dotenv("pull", path, "-f", "json").json == {"A": "one two", "B": "2", "C": "$B"}
    assert dotenv("pull", path, "-f", "shell").out.splitlines()[0] == 'export A="one two"'
    assert dotenv("export", path, "-f", "yaml").out == 'A: "one two"\nB: "2"\nC: "$B"\n'
    apart = dotenv("pull", path, "--merge=false").out
    assert apart.startswith("# my-app\nB=1\nA=one two\n\n# my-app/backend\nB=2\n")
    kept = dotenv("pull", path, "--decrypt=false").json
    assert list(kept) == ["project", "target", "environment"]
    assert "one two" not in str(kept)


def test_a_project_in_json_gives_json_back_unless_asked_otherwise(
    dotenv: Run, tmp_path: Path
) -> None:
    done(dotenv("project", "create", "Settings", "--secret-format", "json"))
    done(dotenv("target", "create", "settings", "Web"))
    text = '{"B": 1, "A": "x y"}\n'
    done(dotenv("push", "settings", write(tmp_path / "f", text)))
    assert dotenv("pull", "settings").out == dotenv("pull", "settings", "-f", "json").out == text
    assert dotenv("pull", "settings", "-f", "env").out == "A='x y'\nB=1\n"
    done(dotenv("push", "settings/web", write(tmp_path / "f", '{"B": 2}')))
    assert dotenv("pull", "settings/web").out == "A='x y'\nB=2\n"
    assert dotenv("pull", "settings/web", "-f", "json").json == {"A": "x y", "B": "2"}
    assert dotenv("pull", "settings/web", "--merge=false").out == (
        f'# settings\n{text}\n# settings/web\n{{"B": 2}}\n'
    )
    assert dotenv("pull", "settings/web", "--merge=false", "-f", "json").code == 2


def test_a_file_that_is_there_is_kept_beside(dotenv: Run, tmp_path: Path) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "in", "A=new\n")))
    target = tmp_path / ".env"
    write(target, "A=old\n")
    refused = dotenv("pull", "my-app", "-o", str(target))
    assert refused.code == 2
    assert target.read_text() == "A=old\n"
    done(dotenv("pull", "my-app", "-o", str(target), "--force"))
    assert target.read_text() == "A=new\n"
    assert (tmp_path / ".env.backup").read_text() == "A=old\n"


def test_an_empty_level_is_not_an_error(dotenv: Run) -> None:
    result = dotenv("pull", "my-app/backend")
    assert (result.code, result.out) == (0, "")
    assert "holds no secrets" in result.err


def test_replacing_is_asked_about(dotenv: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "f", "A=1\n")
    done(dotenv("push", "my-app", file))
    write(tmp_path / "f", "A=2\n")
    refused = dotenv("push", "my-app", file)
    assert refused.code == 2
    assert "--force" in refused.err
    done(dotenv("push", "my-app", file, "--force"))


def test_a_file_that_nobody_could_pull_is_refused_by_its_line(dotenv: Run, tmp_path: Path) -> None:
    refused = dotenv("push", "my-app", write(tmp_path / "f", "A=1\nMY KEY=hunter2\n"))
    assert refused.code == 2
    assert "line 2" in refused.err and "hunter2" not in refused.err
    assert not Secret.objects.exists()
    done(dotenv("push", "my-app", str(tmp_path / "f"), "--force"))
    missing = dotenv("push", "my-app", str(tmp_path / "nowhere"))
    assert (missing.code, "Cannot read" in missing.err) == (2, True)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("A=1\nKEY=-----BEGIN\nabc\n", "line 3: it has no ="),
        ('A="one" two\n', "line 1: the text after the closing quote"),
    ],
)
def test_a_file_that_would_lose_text_is_refused_unless_forced(
    dotenv: Run, tmp_path: Path, text: str, said: str
) -> None:
    file = write(tmp_path / "f", text)
    refused = dotenv("push", "my-app", file)
    assert (refused.code, said in refused.err) == (2, True)
    assert "BEGIN" not in refused.err and "two" not in refused.err
    assert not Secret.objects.exists()
    forced = done(dotenv("push", "my-app", file, "--force"))
    assert said in forced.err
    merged = dotenv("pull", "my-app", "-f", "json")
    assert said in merged.err and "it is left out" in merged.err


def test_a_file_in_another_encoding_is_named(dotenv: Run, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes("A=1\r\n".encode("utf-16"))
    refused = dotenv("push", "my-app", str(tmp_path / "f"))
    assert (refused.code, "is UTF-16, not UTF-8" in refused.err) == (2, True)


def test_where_others_read_a_file_otherwise_is_said_by_line(dotenv: Run, tmp_path: Path) -> None:
    pushed = done(dotenv("push", "my-app", write(tmp_path / "f", "A=1\nB=pass#word\n")))
    assert "line 2: B is 9 characters here. Others differ: npm dotenv: 4 characters" in pushed.err
    assert "word" not in pushed.err
    assert dotenv("pull", "my-app", "-f", "env").out == "A=1\nB='pass#word'\n"


@pytest.mark.parametrize("force", [(), ("--force",)])
def test_pushing_what_is_there_already_changes_nothing(
    dotenv: Run, vault: dict[str, str], tmp_path: Path, force: tuple[str, ...]
) -> None:
    file = write(tmp_path / "f", "A=1\n")
    for project, client in (("my-app", ()), ("vault", ("--client-key", vault["key"]))):
        done(dotenv("push", project, file, *client))
        before = list(Secret.objects.values_list("content", "updated_at"))
        again = done(dotenv("push", project, file, *force, *client))
        assert "nothing to push" in again.err
        assert list(Secret.objects.values_list("content", "updated_at")) == before
    assert not SecretVersion.objects.exists()
    with transaction.atomic():
        seen = Entry.objects.visible([Organization.objects.get().pk])
        assert not seen.filter(resource_type="secret", action="update").exists()


def test_a_value_that_no_file_holds_safely_is_named(dotenv: Run, tmp_path: Path) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "f", "A=it\\'s $(id)\n"), "--force"))
    refused = dotenv("pull", "my-app", "-f", "env")
    assert (refused.code, "A contains text that a shell" in refused.err) == (1, True)
    assert "$(id)" not in refused.err
    assert dotenv("pull", "my-app", "-f", "json").json == {"A": "it's $(id)"}


def test_references_to_nothing_are_left_with_a_warning(dotenv: Run, tmp_path: Path) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "f", "A=pa$$word\nB=x$nothing\n"), "--force"))
    pulled = done(dotenv("pull", "my-app", "--resolve", "-f", "json"))
    assert pulled.json == {"A": "pa$$word", "B": "x$nothing"}
    assert "B refers to nothing, which is not set" in pulled.err


def test_yml_is_yaml(dotenv: Run, tmp_path: Path) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "f", "A=1.10\n")))
    assert dotenv("pull", "my-app", "-f", "yml").out == 'A: "1.10"\n'


PRINT = "import os; print(os.environ['A'], os.environ.get('C'), end='')"


def test_a_command_runs_with_the_merged_variables(
    program: Run, dotenv: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "f", "A=outer\nB=1\n")))
    done(dotenv("push", "my-app/backend", write(tmp_path / "f", "A='two words'\nC=$B\n")))
    (tmp_path / "f").unlink()
    before = sorted(tmp_path.rglob("*"))
    command = ("--", sys.executable, "-c", PRINT)
    assert done(program("run", "my-app/backend", *command)).out == "two words $B"
    assert done(program("run", "my-app/backend", "-r", *command)).out == "two words 1"
    assert sorted(tmp_path.rglob("*")) == before
    monkeypatch.setenv("DOTENV_PATH", "my-app")
    assert done(program("run", *command)).out == "outer None"
    pure = done(program("run", "--pure", "--", "env"))
    assert "DOTENV_API_KEY" not in pure.out and "A=outer" in pure.out


@pytest.mark.parametrize(
    ("command", "code"),
    [("raise SystemExit(42)", 42), ("import os; os.kill(os.getpid(), 15)", 143)],
)
def test_the_exit_code_of_a_command_is_passed_on(program: Run, command: str, code: int) -> None:
    assert program("run", "my-app", "--", sys.executable, "-c", command).code == code


def test_a_command_that_does_not_exist_is_named(dotenv: Run) -> None:
    missing = dotenv("run", "my-app", "--", "no-such-command")
    assert (missing.code, "Command not found: no-such-command" in missing.err) == (127, True)
    assert dotenv("run", "my-app").code == 2


def test_signals_reach_the_command(tmp_path: Path) -> None:
    ready = tmp_path / "ready"
    waiting = (
        "import signal, sys, time; signal.signal(15, lambda *_: sys.exit(7));"
        f"open({str(ready)!r}, 'w').close(); time.sleep(60)"
    )
    process = subprocess.Popen(
        [sys.executable, "-m", "dotenv_cloud.cli", "run", "my-app", "--"]
        + [sys.executable, "-c", waiting]
    )
    deadline = time.monotonic() + 30
    while not ready.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 7


def test_several_files_go_to_several_levels(dotenv: Run, tmp_path: Path) -> None:
    files = {name: write(tmp_path / name, f"{name.upper()}=1\n") for name in ("p", "t", "e")}
    done(
        dotenv(
            *("push", "my-app/backend/production"),
            *("--project", files["p"], "--target", files["t"], "--env", files["e"]),
        )
    )
    assert dotenv("pull", "my-app/backend/production").out == "E=1\nP=1\nT=1\n"
    unclear = dotenv("push", "my-app", "--env", files["e"])
    assert (unclear.code, "does not name the target" in unclear.err) == (2, True)


def test_a_switch_alone_takes_nothing_of_what_follows(dotenv: Run, tmp_path: Path) -> None:
    file = write(tmp_path / "f", "A=1\n")
    done(dotenv("push", "--encrypt", "my-app", file))
    for switch in ("--decrypt", "--merge", "-m", "--merge=true", "-m=false", "--merge=false"):
        assert done(dotenv("pull", switch, "my-app")).out == "A=1\n"
    assert "A=1" not in done(dotenv("pull", "--decrypt=false", "my-app")).out
    assert dotenv("pull", "-m=maybe", "my-app").code == 2
    done(dotenv("push", "--encrypt=false", "my-app", file, "--force"))
    assert dotenv("pull", "my-app").out == "A=1\n"


def test_standard_input_can_be_pushed(program: Run, dotenv: Run) -> None:
    done(program("push", "my-app", "-", stdin="A=Grüße\n"))
    assert dotenv("pull", "my-app").out == "A=Grüße\n"


def test_versions_are_listed_shown_compared_and_restored(dotenv: Run, tmp_path: Path) -> None:
    for text in ("A=1\nB=1\n", "A=2\nC=1\n", "A=3\nC=1\n"):
        done(dotenv("push", "my-app", write(tmp_path / "f", text), "--force"))
    listed = dotenv("secret", "versions", "my-app", "-f", "json").json
    newest, oldest = (row["id"] for row in listed)
    table = dotenv("secret", "versions", "my-app").out
    assert table.split()[:7] == ["VERSION", "ACTION", "SIZE", "KEY", "CREATED", "BY", "LOCKED"]
    show = ("secret", "show", "my-app", "--version", oldest)
    assert dotenv(*show).out == "A=1\nB=1\n"
    copy = tmp_path / "f"
    assert dotenv(*show, "-o", str(copy)).code == 2
    done(dotenv(*show, "-o", str(copy), "--force"))
    assert copy.read_text() == "A=1\nB=1\n"
    assert (tmp_path / "f.backup").read_text() == "A=3\nC=1\n"
    hidden = dotenv("secret", "diff", "my-app", oldest).out
    assert hidden == "~ A: ******** -> ********\n- B=********\n+ C=********\n"
    shown = dotenv("secret", "diff", "my-app", oldest, newest, "--show-values").out
    assert shown == "~ A: 1 -> 2\n- B=1\n+ C=1\n"
    assert dotenv("secret", "restore", oldest).code == 2
    done(dotenv("secret", "restore", oldest, "--force"))
    assert dotenv("pull", "my-app").out == "A=1\nB=1\n"
    purged = dotenv("secret", "purge", "my-app", "--force")
    assert "Removed 3 versions" in purged.err
    assert dotenv("secret", "versions", "my-app", "-f", "json").json == []
    done(dotenv("secret", "delete", "my-app", "--force"))
    assert dotenv("pull", "my-app").out == ""


def test_a_version_of_another_level_is_not_taken_for_one_of_this(
    dotenv: Run, tmp_path: Path
) -> None:
    done(dotenv("target", "create", "my-app", "web"))
    for path, text in (("my-app", "A=1\n"), ("my-app/web", "B=1\n")):
        for content in (text, text + "C=2\n"):
            done(dotenv("push", path, write(tmp_path / "f", content), "--force"))
    [ours] = dotenv("secret", "versions", "my-app/web", "-f", "json").json
    [other] = dotenv("secret", "versions", "my-app", "-f", "json").json
    project, target = Project.objects.get(), Target.objects.get(slug="web")
    for asked in (
        ("show", "my-app/web", "--version", other["id"]),
        ("show", f"{project.ulid}/web", "--version", other["id"]),
        ("diff", "my-app/web", other["id"]),
        ("diff", "my-app/web", ours["id"], other["id"]),
    ):
        refused = dotenv("secret", *asked)
        assert (refused.code, refused.out) == (4, "")
        assert f"Version {other['id']} belongs to my-app, not to " in refused.err
        assert f"`dotenv secret versions {asked[1]}`" in refused.err
    ids = f"{project.ulid.lower()}/{target.ulid}"
    assert dotenv("secret", "show", ids, "--version", ours["id"]).out == "B=1\n"
    missing = dotenv("secret", "show", "my-app/web", "--version", "1000000")
    assert (missing.code, "`dotenv secret versions my-app/web`" in missing.err) == (4, True)
    restored = dotenv("secret", "restore", other["id"], "--force")
    assert f"Restored version {other['id']} of my-app." in restored.err


def test_a_version_under_an_old_key_of_the_server_says_to_restore_it(
    dotenv: Run, tmp_path: Path
) -> None:
    done(dotenv("push", "my-app", write(tmp_path / "f", "A=1\n")))
    rotation.rotate(Project.objects.get())
    [version] = dotenv("secret", "versions", "my-app", "-f", "json").json
    refused = dotenv("secret", "show", "my-app", "--version", version["id"])
    assert refused.code == 5
    assert f"dotenv secret restore {version['id']}" in refused.err


def test_clients_rotate_their_key_and_bring_the_history_along(
    dotenv: Run, vault: dict[str, str], tmp_path: Path
) -> None:
    client, new = ("--client-key", vault["key"]), ("--client-key", vault["next"])
    done(dotenv("target", "create", "vault", "Backend"))
    for place, text in (("vault", "A=1\n"), ("vault", "A=2\n"), ("vault/backend", "B=1\n")):
        done(dotenv("push", place, write(tmp_path / "f", text), "--force", *client))
    rotated = dotenv("key", "rotate", "vault", "--force", *client, "--new-key", vault["next"])
    assert (rotated.code, rotated.out) == (0, "vault: version 2 is active\n"), rotated.err
    assert dotenv("pull", "vault/backend", *client).code == 5
    assert dotenv("pull", "vault/backend", *new).out == "A=2\nB=1\n"
    oldest = dotenv("secret", "versions", "vault", "-f", "json").json[-1]["id"]
    show = ("secret", "show", "vault", "--version", oldest, *new)
    assert dotenv(*show).code == 5
    assert dotenv(*show, "--old-key", vault["key"]).out == "A=1\n"
    without = dotenv("key", "re-encrypt-history", "vault", *new)
    assert (without.code, "--old-key" in without.err) == (5, True)
    brought = dotenv("key", "re-encrypt-history", "vault", *new, "--old-key", vault["key"])
    assert "Re-encrypted 3 versions" in brought.err
    assert dotenv(*show).out == "A=1\n"


def test_a_version_under_an_old_key_of_clients_is_restored_with_it(
    dotenv: Run, vault: dict[str, str], tmp_path: Path
) -> None:
    client, new = ("--client-key", vault["key"]), ("--client-key", vault["next"])
    done(dotenv("push", "vault", write(tmp_path / "f", "A=1\n"), *client))
    done(dotenv("key", "rotate", "vault", "--force", *client, "--new-key", vault["next"]))
    [version] = dotenv("secret", "versions", "vault", "-f", "json").json
    restore = ("secret", "restore", version["id"], "--force")
    refused = dotenv(*restore)
    assert (refused.code, "--old-key" in refused.err) == (5, True)
    done(dotenv(*restore, "--project", "vault", *new, "--old-key", vault["key"]))
    assert dotenv("pull", "vault", *new).out == "A=1\n"


@pytest.mark.parametrize(
    ("key", "words"), [("k" * 32, "exactly 32 bytes"), ("short", "at least 12"), ("", "is empty")]
)
def test_a_weak_key_is_refused_before_anything_is_sent(
    dotenv: Run, tmp_path: Path, key: str, words: str
) -> None:
    file = write(tmp_path / "weak", f"{key}\n")
    made = dotenv("project", "create", "Weak", "--storage-mode", "client", "--client-key", file)
    assert (made.code, words in made.err) == (5, True), made.err
    assert not Project.objects.filter(slug="weak").exists()


def test_a_key_can_come_from_the_environment_and_must_exist_as_a_file(
    dotenv: Run, vault: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    file = write(tmp_path / "f", "A=1\n")
    nowhere = dotenv("push", "vault", file, "--client-key", "./no-such-key")
    assert (nowhere.code, "does not exist" in nowhere.err) == (2, True)
    nobody = dotenv("push", "vault", file)
    assert (nobody.code, "DOTENV_CLIENT_KEY" in nobody.err) == (2, True)
    monkeypatch.setenv("DOTENV_CLIENT_KEY", KEY)
    pushed = done(dotenv("push", "vault", file))
    assert "DOTENV_CLIENT_KEY" in pushed.err
    assert KEY not in pushed.err
    quiet = done(dotenv("pull", "vault", "-q"))
    assert (quiet.out, quiet.err) == ("A=1\n", "")


def test_the_hierarchy_is_made_drawn_found_changed_and_deleted(dotenv: Run) -> None:
    assert dotenv("project", "create", "Second shop").out == "second-shop\n"
    assert dotenv("target", "create", "second-shop", "Web").out == "second-shop/web\n"
    environment = ("environment", "create", "second-shop/web", "Live", "--status", "production")
    assert dotenv(*environment).out == "second-shop/web/live\n"
    assert dotenv("tree").out == (
        "my-app\n└── backend\n    └── production\nsecond-shop\n└── web\n    └── live\n"
    )
    assert dotenv("tree", "second-shop", "--max-depth", "2").out == "second-shop\n└── web\n"
    assert dotenv("path", "live").out == "second-shop/web/live\n"
    assert dotenv("path", "nothing").code == 4
    done(dotenv("project", "update", "second-shop", "--slug", "shop-two", "--no-versioning"))
    done(dotenv("environment", "update", "shop-two/web/live", "--name", "Live!"))
    assert dotenv("project", "update", "shop-two").code == 2
    assert dotenv("target", "delete", "shop-two").code == 2
    done(dotenv("project", "delete", "shop-two", "--force"))
    assert dotenv("list", "projects", "--paths").out == "my-app\n"


def test_who_and_where_one_is(dotenv: Run) -> None:
    assert "API key" in dotenv("auth", "info").out
    assert "acme" in dotenv("auth", "info", "-v").out
    assert dotenv("auth", "info", "--json").json["data"]["type"] == "api-keys"
    assert "Acme" in dotenv("org", "list").out
    assert dotenv("org", "show", "-f", "json").json["slug"] == "acme"


def test_a_narrowed_key_is_made_and_keeps_to_its_place(dotenv: Run, tmp_path: Path) -> None:
    done(dotenv("push", "my-app/backend", write(tmp_path / "f", "A=1\n")))
    done(dotenv("push", "my-app", write(tmp_path / "f", "B=1\n")))
    token = dotenv(
        *("apikeys", "create", "narrow", "--abilities", "secret:read,key:retrieve"),
        *("--scope", "secret:read=my-app/backend", "--no-parents"),
    ).out.strip()
    narrow = ("--api-key", token)
    assert dotenv("pull", "my-app/backend", *narrow).out == "A=1\n"
    assert dotenv("pull", "my-app", *narrow).code == 4
    [key] = [
        row["id"]
        for row in dotenv("apikeys", "list", "-f", "json").json
        if row["scoped_permissions"]
    ]
    done(dotenv("apikeys", "update", key, "--parents"))
    assert dotenv("pull", "my-app/backend", *narrow).out == "A=1\nB=1\n"
    done(dotenv("apikeys", "update", key, "--no-parents", "--scope", "secret:read=my-app"))
    assert dotenv("pull", "my-app", *narrow).out == "B=1\n"
    done(dotenv("apikeys", "update", key, "--everywhere", "--name", "wide"))
    [wide] = [row for row in dotenv("apikeys", "list", "-f", "json").json if row["id"] == key]
    assert (wide["name"], wide["scoped_permissions"]) == ("wide", [])
    assert dotenv("apikeys", "update", key, "--everywhere", "--scope", "secret:read=a").code == 2
    wrong = dotenv("apikeys", "create", "x", "--abilities", "secret:read", "--scope", "my-app")
    assert (wrong.code, "ABILITY=PATH" in wrong.err) == (2, True)


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(dotenv: Run, shell: str) -> None:
    assert "_DOTENV_COMPLETE" in done(dotenv("completion", shell)).out


def test_completion_offers_commands(program: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("_DOTENV_COMPLETE", "bash_complete")
    monkeypatch.setenv("COMP_WORDS", "dotenv secret ")
    monkeypatch.setenv("COMP_CWORD", "2")
    assert "plain,restore" in program().out


def test_the_sample_holds_what_it_should(dotenv: Run) -> None:
    variables = env.parse(SHOP.read_text())
    assert variables["APP_GREETING"] == "Grüß Gott, „Welt“! 👋"
    assert variables["TLS_PRIVATE_KEY"].count("\n") == 3
    assert json.loads(variables["QUEUE_OPTIONS"])["tags"] == ["a", "b"]
