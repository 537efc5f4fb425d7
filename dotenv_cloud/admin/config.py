"""Makes `dotenv_cloud.admin.review_site.ReviewSite` the admin site that apps register with."""

from __future__ import annotations

from django.contrib.admin.apps import AdminConfig


class ReviewAdminConfig(AdminConfig):
    default_site = "dotenv_cloud.admin.review_site.ReviewSite"
