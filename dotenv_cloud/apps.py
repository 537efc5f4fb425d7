"""The app of the site itself: commands, limits and the API's plumbing."""

from __future__ import annotations

from django.apps import AppConfig


class SiteConfig(AppConfig):
    name = "dotenv_cloud"
    verbose_name = "dotEnv Cloud"
