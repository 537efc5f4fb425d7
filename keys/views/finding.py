"""Finding what a page's address names: in the page's organization, or 404."""

from __future__ import annotations

from typing import Any

from django.db.models import QuerySet
from django.http import Http404

from keys.levels import Level
from organizations.hierarchy import find_node
from organizations.membership_access import OrganizationRequest
from organizations.models import Environment, Project, Target


def find_project(request: OrganizationRequest, reference: str) -> Project:
    projects = Project.objects.filter(organization=request.organization)
    found: Project = _find(projects.select_related("organization"), reference, "project")
    return found


def find_target(request: OrganizationRequest, project: str, target: str) -> Target:
    parent = find_project(request, project)
    found: Target = _find(parent.targets.all(), target, "target")
    found.project = parent
    return found


def find_environment(
    request: OrganizationRequest, project: str, target: str, environment: str
) -> Environment:
    parent = find_target(request, project, target)
    found: Environment = _find(parent.environments.all(), environment, "environment")
    found.target = parent
    return found


def find_level(
    request: OrganizationRequest,
    project: str,
    target: str | None = None,
    environment: str | None = None,
) -> Level:
    if target is None:
        return Level(find_project(request, project))
    if environment is None:
        found = find_target(request, project, target)
        return Level(found.project, found)
    deepest = find_environment(request, project, target, environment)
    return Level(deepest.target.project, deepest.target, deepest)


def _find(siblings: QuerySet[Any], reference: str, what: str) -> Any:
    found = find_node(siblings, reference.lower())
    if found is None:
        raise Http404(f"There is no such {what}.")
    return found
