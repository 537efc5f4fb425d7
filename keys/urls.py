"""Routes of projects with what protects them, and of API keys.

What is made has a page beside the list, not below it: a project may be called "new".
"""

from __future__ import annotations

from django.urls import path

from keys.views import api_keys, custody, levels, members, projects, rotation, secret_versions

PROJECT = "projects/<str:project>"
TARGET = f"{PROJECT}/targets/<str:target>"
ENVIRONMENT = f"{TARGET}/environments/<str:environment>"

urlpatterns = [
    path("projects", projects.project_list, name="projects"),
    path("new-project", projects.create, name="new_project"),
    path(PROJECT, projects.show, name="project"),
    path(f"{PROJECT}/change", projects.change, name="change_project"),
    path(f"{PROJECT}/delete", projects.delete, name="delete_project"),
    path(f"{PROJECT}/new-target", levels.new_target, name="new_target"),
    path(TARGET, levels.target, name="target"),
    path(f"{TARGET}/change", levels.change_target, name="change_target"),
    path(f"{TARGET}/delete", levels.delete_target, name="delete_target"),
    path(f"{TARGET}/new-environment", levels.new_environment, name="new_environment"),
    path(f"{ENVIRONMENT}/change", levels.change_environment, name="change_environment"),
    path(f"{ENVIRONMENT}/delete", levels.delete_environment, name="delete_environment"),
    path(f"{PROJECT}/keys/rotate", rotation.rotate, name="rotate_key"),
    path(f"{PROJECT}/custody", custody.switch, name="switch_custody"),
    path(f"{PROJECT}/versions", secret_versions.history, name="project_versions"),
    path(f"{TARGET}/versions", secret_versions.history, name="target_versions"),
    path(f"{ENVIRONMENT}/versions", secret_versions.history, name="environment_versions"),
    path("versions/<int:version>", secret_versions.version, name="version"),
    path("members/<str:member>", members.member, name="member"),
    path("api-keys", api_keys.api_key_list, name="api_keys"),
    path("api-keys/new", api_keys.create_api_key, name="create_api_key"),
    path("api-keys/<str:api_key>", api_keys.api_key, name="api_key"),
    path("api-keys/<str:api_key>/change", api_keys.change_api_key, name="change_api_key"),
]
