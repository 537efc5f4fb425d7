"""The history of Northwind Labs, another tenant, which nobody at Acme may see."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property, partial

from dotenv_cloud.demo import reading
from dotenv_cloud.demo.acme import CI_AGENT, LINUX, MAC, PHONE
from dotenv_cloud.demo.stage import Person, Plan, held_by, person, program, sign_in, sign_up
from keys import api_keys, projects, retrieval, rotation
from keys.models import ApiKey
from organizations import creation, hierarchy, members
from organizations.models import Environment, Organization
from organizations.roles import Role

NORA = Person("Nora Lindqvist", "nora@northwind.example", "198.51.100.201", MAC)
TARO = Person("Taro Abe", "taro@northwind.example", "198.51.100.202", LINUX)
IRIS = Person("Iris Gomez", "iris@northwind.example", "198.51.100.203", PHONE)

RUNNER = "203.0.113.9"


@dataclass
class Northwind:
    """The organization while its history is played. Nobody can sign in to its accounts."""

    keys: dict[str, ApiKey] = field(default_factory=dict)

    @cached_property
    def organization(self) -> Organization:
        return Organization.objects.get(slug="northwind-labs")

    def found(self) -> None:
        sign_up(NORA, None)
        sign_in(NORA)
        with person(NORA) as owner:
            organization = creation.create_organization("Northwind Labs", owner=owner)
            project = projects.create_project(organization, "Telemetry")
            target = hierarchy.create_target(project, "Collector")
            hierarchy.create_environment(target, "Production", status=Environment.Status.PRODUCTION)
            issued = api_keys.create(
                organization,
                "runner",
                ["project:read", "key:retrieve"],
                granter=held_by(owner, organization),
                created_by=owner,
            )
            self.keys["runner"] = issued.api_key

    def arrive(self, who: Person, role: Role) -> None:
        with person(NORA) as owner:
            organization = self.organization
            invited = members.invite(
                organization,
                who.email,
                role,
                invited_by=owner,
                granter=held_by(owner, organization),
            )
        sign_up(who, None)
        sign_in(who)
        with person(who) as user:
            members.accept(invited.invitation, user)

    def retrieve(self) -> None:
        with program(self.keys["runner"], RUNNER, CI_AGENT):
            retrieval.retrieve(self.organization.projects.get(slug="telemetry"))

    def rotate(self) -> None:
        with person(NORA):
            rotation.rotate(self.organization.projects.get(slug="telemetry"))

    def plan(self, plan: Plan) -> None:
        plan.add(70, "12:00", self.found)
        plan.add(69, "09:10", partial(self.arrive, TARO, Role.DEVELOPER))
        plan.add(68, "09:25", partial(self.arrive, IRIS, Role.AUDITOR))
        plan.add(35, "10:00", self.rotate)
        plan.add(5, "10:00", self.rotate)
        for days_ago in range(67, -1, -1):
            plan.add(days_ago, f"03:{plan.random.randrange(60):02}", self.retrieve)
            if plan.is_workday(days_ago) and plan.random.random() < 0.4:
                who = plan.random.choice((NORA, TARO, IRIS))
                plan.add(days_ago, f"08:{plan.random.randrange(60):02}", partial(sign_in, who))
            if days_ago % 14 == 3:
                plan.add(days_ago, "09:45", partial(reading.view, IRIS, self, {"since": "14d"}))
