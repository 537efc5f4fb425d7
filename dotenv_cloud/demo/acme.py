"""The history of Acme: founded ninety days ago, ten people, five projects, one bad Tuesday."""

from __future__ import annotations

import secrets as stdlib_secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any

from audit.policy import Interface
from dotenv_cloud.demo import reading
from dotenv_cloud.demo.stage import (
    CLI,
    Person,
    Plan,
    fail_to_sign_in,
    held_by,
    operator,
    person,
    program,
    sign_in,
    sign_up,
    stranger,
)
from keys import (
    api_keys,
    authors,
    blobs,
    crypto,
    data_keys,
    projects,
    retrieval,
    rotation,
    secret_versions,
    secrets,
)
from keys.client_keys import ClientKey
from keys.levels import Level
from keys.models import ApiKey
from organizations import creation, hierarchy, members
from organizations.models import Environment, Organization, Project, Target
from organizations.roles import Role
from organizations.signals import Verb, act

MAC = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:139.0) Gecko/20100101 Firefox/139.0"
LINUX = "Mozilla/5.0 (X11; Linux x86_64; rv:139.0) Gecko/20100101 Firefox/139.0"
WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko)"
    " Chrome/137.0.0.0 Safari/537.36"
)
PHONE = (
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_5 like Mac OS X) AppleWebKit/605.1.15"
    " (KHTML, like Gecko) Version/18.5 Mobile/15E148 Safari/604.1"
)

# Addresses and domains are reserved for documentation (RFC 5737, RFC 3849, RFC 2606).
OLIVIA = Person("Olivia Owens", "olivia@acme.example", "192.0.2.10", MAC)
JANE = Person("Jane Doe", "jane@acme.example", "192.0.2.21", MAC)
DEV = Person("Dev Patel", "dev@acme.example", "192.0.2.34", LINUX)
ADA = Person("Ada Brandt", "ada@acme.example", "192.0.2.40", WINDOWS)
CARL = Person("Carl Nyström", "carl@acme.example", "192.0.2.41", WINDOWS)
MARCO = Person("Marco Rossi", "marco@acme.example", "2001:db8:12::5", LINUX)
PRIYA = Person("Priya Raman", "priya@acme.example", "192.0.2.36", MAC)
SAM = Person("Sam Okafor", "sam@acme.example", "192.0.2.38", LINUX)
LENA = Person("Lena Fischer", "lena@contractor.example", "198.51.100.61", MAC)
BILL = Person("Bill Novak", "bill@acme.example", "192.0.2.44", WINDOWS)

CI = "198.51.100.20"
CI_AGENT = "dotenv-sdk-go/1.4.2"
PREVIEW_AGENT = "terraform-provider-dotenv/0.9.3"
ATTACKER = "203.0.113.77"
ATTACKER_AGENT = "python-requests/2.31.0"

# Who comes when: days ago, person, role.
ARRIVALS = (
    (90, JANE, Role.ADMIN),
    (90, DEV, Role.DEVELOPER),
    (89, PRIYA, Role.DEVELOPER),
    (89, ADA, Role.AUDITOR),
    (88, CARL, Role.AUDITOR),
    (87, MARCO, Role.MEMBER),
    (85, BILL, Role.BILLING_MANAGER),
    (82, LENA, Role.DEVELOPER),
    (64, SAM, Role.DEVELOPER),
)

PROJECTS: tuple[tuple[int, str, str, Mapping[str, tuple[str, ...]]], ...] = (
    (
        89,
        "Storefront",
        "Shop, checkout and the API behind them",
        {
            "Backend": ("Production", "Staging", "Development"),
            "Web": ("Production", "Staging"),
            "Worker": ("Production", "Staging"),
        },
    ),
    (
        86,
        "Payments",
        "Card and invoice payments",
        {"Gateway": ("Production", "Sandbox"), "Ledger": ("Production", "Staging")},
    ),
    (80, "Data warehouse", "Nightly loads and reports", {"ETL": ("Production", "Development")}),
    (
        73,
        "Mobile app",
        "iOS and Android builds",
        {"iOS": ("Production", "Staging"), "Android": ("Production", "Staging")},
    ),
    (88, "Legacy intranet", "To be switched off", {"Wiki": ("Production",)}),
)

# What was pushed: days ago, time, whose key, path, variables.
WRITES: tuple[tuple[int, str, str, str, tuple[str, ...]], ...] = (
    (82, "09:40", "dev@laptop", "storefront", ("SENTRY_DSN", "MAIL_URL")),
    (82, "09:47", "dev@laptop", "storefront/backend", ("DATABASE_HOST",)),
    (82, "09:52", "dev@laptop", "storefront/backend/production", ("DATABASE_URL", "SECRET_KEY")),
    (82, "10:01", "dev@laptop", "storefront/backend/staging", ("DATABASE_URL", "SECRET_KEY")),
    (80, "11:15", "dev@laptop", "storefront/web/production", ("CDN_TOKEN",)),
    (78, "10:31", "dev@laptop", "payments/gateway/production", ("ACQUIRER_KEY", "WEBHOOK_SECRET")),
    (78, "10:36", "dev@laptop", "payments/gateway/sandbox", ("ACQUIRER_KEY", "WEBHOOK_SECRET")),
    (76, "16:12", "dev@laptop", "payments/ledger/staging", ("LEDGER_URL",)),
    (69, "13:25", "dev@laptop", "storefront/backend/production", ("DATABASE_URL", "SECRET_KEY")),
    (60, "11:02", "sam@laptop", "mobile-app", ("STORE_ACCOUNT",)),
    (60, "11:08", "sam@laptop", "mobile-app/ios/production", ("PUSH_KEY",)),
    (55, "09:55", "sam@laptop", "mobile-app/android/production", ("PUSH_KEY",)),
    (41, "15:44", "dev@laptop", "storefront/backend/staging", ("DATABASE_URL", "SECRET_KEY")),
    (36, "10:20", "dev@laptop", "payments/gateway/production", ("ACQUIRER_KEY", "WEBHOOK_SECRET")),
    (20, "16:40", "sam@laptop", "mobile-app/ios/production", ("PUSH_KEY", "STORE_TOKEN")),
    (12, "09:31", "dev@laptop", "storefront", ("SENTRY_DSN", "MAIL_URL", "SEARCH_KEY")),
)


@dataclass
class Acme:
    """The organization while its history is played."""

    owner_password: str
    passwords: Mapping[str, str]
    keys: dict[str, ApiKey] = field(default_factory=dict)
    built: dict[str, Project] = field(default_factory=dict)

    # -- Rows, looked up when a scene is played

    @cached_property
    def organization(self) -> Organization:
        return Organization.objects.get(slug="acme")

    def project(self, slug: str) -> Project:
        return self.organization.projects.get(slug=slug)

    def target(self, path: str) -> Target:
        project, target = path.split("/")
        return self.project(project).targets.get(slug=target)

    def environment(self, path: str) -> Environment:
        target, _, environment = path.rpartition("/")
        return self.target(target).environments.get(slug=environment)

    # -- Actions that happen more than once

    def arrive(self, who: Person, role: Role) -> None:
        """The owner invites the person, who creates an account and joins."""
        with person(OLIVIA) as owner:
            organization = self.organization
            invited = members.invite(
                organization,
                who.email,
                role,
                invited_by=owner,
                granter=held_by(owner, organization),
            )
        sign_up(who, self.passwords.get(who.email))
        sign_in(who)
        with person(who) as user:
            members.accept(invited.invitation, user)

    def make_project(
        self, name: str, description: str, targets: Mapping[str, tuple[str, ...]]
    ) -> None:
        with person(OLIVIA if name == "Legacy intranet" else JANE):
            project = projects.create_project(self.organization, name, description=description)
            for target_name, environments in targets.items():
                target = hierarchy.create_target(project, target_name)
                for environment in environments:
                    known = environment.lower() in Environment.Status.values
                    hierarchy.create_environment(
                        target,
                        environment,
                        status=environment.lower() if known else Environment.Status.STAGING,
                    )

    def make_key(self, who: Person, name: str, abilities: list[str]) -> None:
        with person(who) as user:
            issued = api_keys.create(
                self.organization,
                name,
                abilities,
                granter=held_by(user, self.organization),
                created_by=user,
            )
        self.keys[name] = issued.api_key

    def rotate_api_key(self, who: Person, name: str) -> None:
        with person(who) as user:
            api_keys.rotate(
                self.keys[name], granter=held_by(user, self.organization), rotated_by=user
            )

    def revoke_api_key(self, who: Person, name: str) -> None:
        with person(who) as user:
            api_keys.revoke(self.keys.pop(name), granter=held_by(user, self.organization))

    def change_role(self, who: Person, role: Role) -> None:
        with person(OLIVIA) as owner:
            organization = self.organization
            membership = organization.memberships.get(user__email=who.email)
            members.change_role(membership, role, granter=held_by(owner, organization))

    def rotate(self, who: Person, project: str, history_policy: str | None = None) -> None:
        with person(who) as user:
            rotation.rotate(
                self.project(project),
                history_policy=history_policy,
                author=authors.of_user(user),
            )

    def rotate_by_cli(self, project: str) -> None:
        key = self.keys["jane@workstation"]
        with program(key, JANE.ip, command="key rotate"):
            rotation.rotate(self.project(project), author=authors.of_api_key(key))

    def retrieve(
        self, key: str, project: str, ip: str, agent: str = CI_AGENT, command: str = ""
    ) -> None:
        if project not in self.built:
            self.built[project] = self.project(project)
        with program(self.keys[key], ip, agent, command):
            retrieval.retrieve(self.built[project])

    def level(self, path: str) -> Level:
        """The level at a path, by the slugs that its nodes have at that time."""
        names = path.split("/")
        if len(names) == 1:
            return Level(self.project(path))
        target = self.target("/".join(names[:2]))
        environment = target.environments.get(slug=names[2]) if len(names) == 3 else None
        return Level(target.project, target, environment)

    def push(self, key: str, path: str, text: str, ip: str) -> None:
        """A person's `dotenv` command encrypts a file and stores it."""
        with program(self.keys[key], ip, command="push") as api_key:
            level = self.level(path)
            data_key = data_keys.data_key(retrieval.retrieve(level.project).version)
            content = blobs.to_text(crypto.encrypt(data_key, text.encode()))
            secrets.store(level, content, author=authors.of_api_key(api_key))

    def pull(self, key: str, path: str, ip: str, agent: str = CLI, command: str = "pull") -> None:
        """Secrets and the key are fetched, to be decrypted by the client."""
        with program(self.keys[key], ip, agent, command):
            level = self.level(path)
            if secrets.read(level.and_above):
                retrieval.retrieve(level.project)

    def delete_secret(self, key: str, path: str, ip: str) -> None:
        with program(self.keys[key], ip, command="secret delete") as api_key:
            secrets.delete(self.level(path), author=authors.of_api_key(api_key))

    def restore(self, key: str, path: str, ip: str) -> None:
        """The newest version is restored."""
        with program(self.keys[key], ip, command="secret restore") as api_key:
            level = self.level(path)
            newest = secret_versions.of_level(level).first()
            assert newest is not None
            found = secret_versions.find(self.organization, newest.number)
            assert found is not None
            secret_versions.restore(found, author=authors.of_api_key(api_key))

    def make_vault(self) -> None:
        """A project whose key only its clients have; the server keeps a proof of it."""
        salt = stdlib_secrets.token_bytes(crypto.SALT_BYTES)
        proof = crypto.prove(stdlib_secrets.token_urlsafe(48), salt)
        with person(PRIYA):
            projects.create_project(
                self.organization,
                "Signing keys",
                description="Keys of app stores and certificates, closed to the server",
                client_key=ClientKey(proof, salt, crypto.ITERATIONS),
                key_hint="In the safe, and with Priya",
            )

    def refuse(self, key: str, method: str, path: str, ip: str = CI, repeats: int = 0) -> None:
        with program(self.keys[key], ip, CI_AGENT):
            reading.refuse(self.organization, method, path, repeats=repeats)

    def describe(self, who: Person, path: str, description: str) -> None:
        with person(who):
            node: Any = self.project(path) if "/" not in path else self.target(path)
            hierarchy.update_node(node, {"description": description})

    # -- The story

    def found(self) -> None:
        sign_up(OLIVIA, self.owner_password)
        sign_in(OLIVIA)
        with person(OLIVIA) as owner:
            creation.create_organization("Acme", owner=owner, slug="acme")

    def make_compliance_officer(self) -> None:
        with operator("admin_access"):
            carl = CARL.row()
            carl.is_staff = True
            carl.save(update_fields={"is_staff"})

    def rename_warehouse(self) -> None:
        with person(PRIYA):
            hierarchy.update_node(
                self.project("data-warehouse"), {"name": "Analytics", "slug": "analytics"}
            )

    def delete_project(self, who: Person, slug: str) -> None:
        with person(who):
            hierarchy.delete_node(self.project(slug))

    def lena_leaves(self) -> None:
        with person(LENA) as user:
            members.remove(self.organization.memberships.get(user=user))

    def remove_bill(self) -> None:
        with person(OLIVIA) as owner:
            organization = self.organization
            membership = organization.memberships.get(user__email=BILL.email)
            members.remove(membership, granter=held_by(owner, organization))

    def invite_in_vain(self) -> None:
        with person(OLIVIA) as owner:
            organization = self.organization
            members.invite(
                organization,
                "olga@acme.example",
                Role.ADMIN,
                invited_by=owner,
                granter=held_by(owner, organization),
            )

    def withdraw_invitation(self) -> None:
        with person(OLIVIA) as owner:
            invitation = self.organization.invitations.get(email="olga@acme.example")
            members.withdraw(invitation, granter=held_by(owner, self.organization))

    def password_after_attack(self) -> None:
        sign_in(OLIVIA)
        with person(OLIVIA) as owner, act(Verb.CHANGE_PASSWORD):
            owner.set_password(self.owner_password)
            owner.save(update_fields={"password"})

    def lock_out_attacker(self) -> None:
        with stranger(ATTACKER, ATTACKER_AGENT):
            # In the platform's own log: who is not signed in belongs to no organization yet.
            reading.refuse(None, "POST", "/sign-in", status=429, reason="http_429", repeats=14)

    def delete_production(self) -> None:
        with person(JANE):
            hierarchy.delete_node(self.environment("storefront/backend/production"))

    def restore_production(self) -> None:
        with program(self.keys["sam@laptop"], SAM.ip, command="init"):
            hierarchy.create_environment(
                self.target("storefront/backend"),
                "Production",
                status=Environment.Status.PRODUCTION,
                description="Made again after it was deleted by mistake",
            )

    def plan(self, plan: Plan) -> None:
        plan.add(90, "09:02", self.found)
        for i, (days_ago, who, role) in enumerate(ARRIVALS):
            plan.add(days_ago, f"{10 + i % 5}:{(i * 7) % 60:02}", partial(self.arrive, who, role))
        for i, (days_ago, name, description, targets) in enumerate(PROJECTS):
            scene = partial(self.make_project, name, description, targets)
            plan.add(days_ago, f"15:{10 + i}", scene)
        self._plan_access(plan)
        self._plan_keys(plan)
        self._plan_secrets(plan)
        self._plan_changes(plan)
        self._plan_attack(plan)
        self._plan_tuesday(plan)

    def _plan_access(self, plan: Plan) -> None:
        plan.add(87, "09:30", self.make_compliance_officer)
        plan.add(60, "13:20", partial(self.change_role, MARCO, Role.DEVELOPER))
        plan.add(48, "10:05", self.invite_in_vain)
        plan.add(45, "09:12", self.withdraw_invitation)
        plan.add(33, "11:15", partial(self.change_role, SAM, Role.ADMIN))
        plan.add(25, "16:02", self.lena_leaves)
        plan.add(14, "10:41", self.remove_bill)

    def _plan_keys(self, plan: Plan) -> None:
        pull = ["project:read", "target:read", "environment:read", "secret:read", "key:retrieve"]
        preview = ["environment:create", "environment:read", "environment:delete", "target:read"]
        plan.add(88, "15:40", partial(self.make_key, OLIVIA, "ci", pull))
        plan.add(84, "11:00", partial(self.make_key, OLIVIA, "preview-bot", preview))
        push = [*pull, "secret:write", "secret:history", "secret:restore"]
        plan.add(83, "10:10", partial(self.make_key, JANE, "dev@laptop", push))
        plan.add(81, "10:15", partial(self.make_key, JANE, "lena@laptop", pull))
        janes = [*push, "key:rotate"]
        plan.add(79, "10:20", partial(self.make_key, JANE, "jane@workstation", janes))
        sams = [*push, "environment:create", "target:create"]
        plan.add(62, "09:50", partial(self.make_key, JANE, "sam@laptop", sams))
        plan.add(46, "14:30", partial(self.rotate_api_key, OLIVIA, "ci"))
        plan.add(25, "16:10", partial(self.revoke_api_key, JANE, "lena@laptop"))
        plan.add(60, "08:31", partial(self.rotate, JANE, "storefront"))
        plan.add(30, "08:33", partial(self.rotate_by_cli, "storefront"))
        plan.add(58, "08:40", partial(self.rotate, JANE, "payments", "re_encrypt"))
        plan.add(28, "08:42", partial(self.rotate_by_cli, "payments"))
        # The person who leaves knew the key.
        plan.add(24, "09:01", partial(self.rotate, OLIVIA, "storefront", "re_encrypt"))
        plan.add(24, "09:03", partial(self.rotate, OLIVIA, "analytics"))

    def _plan_secrets(self, plan: Plan) -> None:
        plan.add(71, "14:20", self.make_vault)
        for days_ago, time, key, path, variables in WRITES:
            ip = DEV.ip if key == "dev@laptop" else SAM.ip
            text = "".join(f"{name}={name.lower()}-of-day-{days_ago}\n" for name in variables)
            plan.add(days_ago, time, partial(self.push, key, path, text, ip))
        ledger = ("dev@laptop", "payments/ledger/staging", DEV.ip)
        plan.add(34, "15:05", partial(self.delete_secret, *ledger))
        plan.add(34, "15:21", partial(self.restore, *ledger))

    def _plan_changes(self, plan: Plan) -> None:
        plan.add(52, "14:08", self.rename_warehouse)
        plan.add(40, "17:25", partial(self.delete_project, OLIVIA, "legacy-intranet"))
        for days_ago, who, path, description in (
            (77, DEV, "storefront/backend", "Python service behind the shop"),
            (70, PRIYA, "payments", "Card, invoice and direct-debit payments"),
            (66, PRIYA, "payments/gateway", "Talks to the acquirer"),
            (51, PRIYA, "analytics", "Nightly loads, reports and the numbers behind them"),
            (37, SAM, "mobile-app", "iOS and Android builds, signed in CI"),
            (19, DEV, "storefront/worker", "Queues: mail, images, exports"),
            (9, SAM, "storefront", "Shop, checkout, and the public API"),
        ):
            plan.add(days_ago, "13:37", partial(self.describe, who, path, description))
        storefront = "/api/v1/acme/storefront"
        plan.add(
            18, "04:12", partial(self.refuse, "ci", "POST", f"{storefront}/encryption-key/rotate")
        )
        plan.add(
            18, "04:13", partial(self.refuse, "ci", "DELETE", f"{storefront}/web/staging", CI, 5)
        )
        plan.add(
            11, "04:12", partial(self.refuse, "ci", "POST", f"{storefront}/encryption-key/rotate")
        )

    def _plan_attack(self, plan: Plan) -> None:
        for attempt in range(10):
            target = OLIVIA.email if attempt != 3 else "admin@acme.example"
            scene = partial(fail_to_sign_in, target, ATTACKER, ATTACKER_AGENT)
            plan.add(21, f"02:13:{attempt * 5:02}", scene)
        plan.add(21, "02:14:02", self.lock_out_attacker)
        plan.add(21, "08:04", self.password_after_attack)

    def _plan_tuesday(self, plan: Plan) -> None:
        """Last Tuesday, at a time when it is Tuesday everywhere."""
        day = plan.days_since_last(weekday=1)
        plan.add(day, "11:20", partial(sign_in, JANE, "198.51.100.143"))
        plan.add(day, "11:42", self.delete_production)
        backend = "/api/v1/acme/storefront/backend"
        plan.add(day, "11:47", partial(self.refuse, "ci", "PATCH", backend, CI, 3))
        plan.add(day, "12:06", self.restore_production)
        # Its secrets went with it: they are pushed again, under the next key.
        plan.add(day, "12:09", partial(self.rotate, OLIVIA, "storefront", "re_encrypt"))
        text = "DATABASE_URL=as-it-was\nSECRET_KEY=another\n"
        production = partial(self.push, "dev@laptop", "storefront/backend/production", text, DEV.ip)
        plan.add(day, "12:17", production)
        plan.add(day, "12:30", partial(self.change_role, JANE, Role.DEVELOPER))
        plan.add(day, "12:35", partial(self.rotate_api_key, OLIVIA, "jane@workstation"))
        filters = {"action": "delete", "type": "environment", "since": "today"}
        ada_looks = partial(reading.view, ADA, self, filters)
        plan.add(day, "12:58", ada_looks)
        plan.add(day, "13:05", partial(reading.export, ADA, self, filters, "csv"))
        plan.add(day, "13:40", partial(reading.view, CARL, self, filters, Interface.ADMIN))
