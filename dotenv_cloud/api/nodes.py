"""Projects, targets and environments."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db.models import Func, IntegerField, OuterRef, Q, QuerySet, Subquery
from rest_framework.request import Request
from rest_framework.response import Response

from dotenv_cloud.api import bodies, paging, resources
from dotenv_cloud.api.base import ApiView, data, locked, no_content
from dotenv_cloud.api.schema import described
from keys import deletion
from keys.models import Secret
from keys.projects import create_project
from organizations import hierarchy
from organizations.grants import Scope
from organizations.models import Environment, Project, Target


def _within(scopes: tuple[Scope, ...], paths: tuple[str, str, str]) -> Q:
    """The rows that scopes cover. paths: the look-ups of project, target and environment, empty
    where the row lies above that level."""
    condition = Q()
    for scope in scopes:
        one = Q()
        for path, key in zip(paths, (scope.project, scope.target, scope.environment), strict=True):
            if key is not None:
                one &= Q(**{path: key}) if path else Q(pk__in=[])
        condition |= one
    return condition


class Projects(ApiView):
    abilities: ClassVar = {"GET": "project:read", "POST": "project:create"}

    @described("List the projects", answer="ProjectList")
    def get(self, request: Request, organization: str) -> Response:
        return paging.collection(request, self._projects(), resources.project)

    @described("Create a project", body=bodies.ProjectBody, answer="Project", status=201)
    def post(self, request: Request, organization: str) -> Response:
        body = bodies.read(request, bodies.ProjectBody)
        made = create_project(self.organization, **body)
        return data(resources.project(made), 201, message="Project created.")

    def _projects(self) -> QuerySet[Project]:
        mine = _counted_projects(Project.objects.filter(organization=self.organization))
        return mine.filter(_within(self.principal.scopes_of(self.ability), ("pk", "", "")))


class OneProject(ApiView):
    abilities: ClassVar = {
        "GET": "project:read",
        "PATCH": "project:update",
        "PUT": "project:update",
        "DELETE": "project:delete",
    }

    @described("Show a project", answer="Project")
    def get(self, request: Request, organization: str, project: str) -> Response:
        return self._show(self.project(read_as=_counted_projects))

    @described("Change a project", body=bodies.ProjectChange, answer="Project")
    def patch(self, request: Request, organization: str, project: str) -> Response:
        body = bodies.read(request, bodies.ProjectChange, partial=True)
        found = self.project(read_as=lambda projects: locked(_counted_projects(projects)))
        return self._show(hierarchy.update_locked_node(found, body, granter=self.principal.grant))

    @described("Change a project", body=bodies.ProjectChange, answer="Project")
    def put(self, request: Request, organization: str, project: str) -> Any:
        return self.patch(request, organization, project)

    @described("Delete a project and everything below it", status=204)
    def delete(self, request: Request, organization: str, project: str) -> Response:
        deletion.delete_node(self.project(), granter=self.principal.grant)
        return no_content()

    def _show(self, project: Project) -> Response:
        return data(resources.project(project))


class Targets(ApiView):
    abilities: ClassVar = {"GET": "target:read", "POST": "target:create"}

    @described("List a project's targets", answer="TargetList")
    def get(self, request: Request, organization: str, project: str) -> Response:
        targets = _counted_targets(self.project(in_part=True).targets.all()).filter(
            _within(self.principal.scopes_of(self.ability), ("project_id", "pk", ""))
        )
        return paging.collection(request, targets, resources.target)

    @described("Create a target", body=bodies.TargetBody, answer="Target", status=201)
    def post(self, request: Request, organization: str, project: str) -> Response:
        body = bodies.read(request, bodies.TargetBody)
        made = hierarchy.create_target(self.project(in_part=True), **body)
        return data(resources.target(made), 201, message="Target created.")


class OneTarget(ApiView):
    abilities: ClassVar = {
        "GET": "target:read",
        "PATCH": "target:update",
        "PUT": "target:update",
        "DELETE": "target:delete",
    }

    @described("Show a target", answer="Target")
    def get(self, request: Request, organization: str, project: str, target: str) -> Response:
        return self._show(self.target(read_as=_counted_targets))

    @described("Change a target", body=bodies.TargetBody, answer="Target")
    def patch(self, request: Request, organization: str, project: str, target: str) -> Response:
        body = bodies.read(request, bodies.TargetBody, partial=True)
        found = self.target(read_as=lambda targets: locked(_counted_targets(targets)))
        return self._show(hierarchy.update_locked_node(found, body, granter=self.principal.grant))

    @described("Change a target", body=bodies.TargetBody, answer="Target")
    def put(self, request: Request, organization: str, project: str, target: str) -> Any:
        return self.patch(request, organization, project, target)

    @described("Delete a target and its environments", status=204)
    def delete(self, request: Request, organization: str, project: str, target: str) -> Response:
        deletion.delete_node(self.target(), granter=self.principal.grant)
        return no_content()

    def _show(self, target: Target) -> Response:
        return data(resources.target(target))


class Environments(ApiView):
    abilities: ClassVar = {"GET": "environment:read", "POST": "environment:create"}

    @described("List a target's environments", answer="EnvironmentList")
    def get(self, request: Request, organization: str, project: str, target: str) -> Response:
        environments = (
            self.target(in_part=True)
            .environments.select_related("target")
            .filter(
                _within(
                    self.principal.scopes_of(self.ability),
                    ("target__project_id", "target_id", "pk"),
                )
            )
        )
        return paging.collection(request, environments, resources.environment)

    @described(
        "Create an environment", body=bodies.EnvironmentBody, answer="Environment", status=201
    )
    def post(self, request: Request, organization: str, project: str, target: str) -> Response:
        body = bodies.read(request, bodies.EnvironmentBody)
        made = hierarchy.create_environment(self.target(in_part=True), **body)
        return data(resources.environment(made), 201, message="Environment created.")


class OneEnvironment(ApiView):
    abilities: ClassVar = {
        "GET": "environment:read",
        "PATCH": "environment:update",
        "PUT": "environment:update",
        "DELETE": "environment:delete",
    }

    @described("Show an environment", answer="Environment")
    def get(self, request: Request, **path: str) -> Response:
        return data(resources.environment(self.environment()))

    @described("Change an environment", body=bodies.EnvironmentBody, answer="Environment")
    def patch(self, request: Request, **path: str) -> Response:
        body = bodies.read(request, bodies.EnvironmentBody, partial=True)
        found = self.environment(read_as=locked)
        changed = hierarchy.update_locked_node(found, body, granter=self.principal.grant)
        return data(resources.environment(changed))

    @described("Change an environment", body=bodies.EnvironmentBody, answer="Environment")
    def put(self, request: Request, **path: str) -> Any:
        return self.patch(request, **path)

    @described("Delete an environment", status=204)
    def delete(self, request: Request, **path: str) -> Response:
        deletion.delete_node(self.environment(), granter=self.principal.grant)
        return no_content()


def _counted_projects(projects: QuerySet[Project]) -> QuerySet[Any]:
    return projects.annotate(
        target_count=_count(Target.objects.filter(project=OuterRef("pk"))),
        environment_count=_count(Environment.objects.filter(target__project=OuterRef("pk"))),
        secret_count=_count(Secret.objects.filter(project=OuterRef("pk"))),
    )


def _counted_targets(targets: QuerySet[Target]) -> QuerySet[Any]:
    return targets.annotate(
        environment_count=_count(Environment.objects.filter(target=OuterRef("pk"))),
        secret_count=_count(Secret.objects.filter(target=OuterRef("pk"))),
    )


def _count(nodes: QuerySet[Any]) -> Subquery:
    """As a column: joining and grouping would count the product, and could not be locked."""
    return Subquery(
        nodes.order_by().values(rows=Func(template="count(*)", output_field=IntegerField()))
    )
