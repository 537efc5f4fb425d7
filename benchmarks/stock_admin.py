"""The site's map with django-auditlog's list beside: our admin takes no other packages' pages."""

from __future__ import annotations

from auditlog.admin import LogEntryAdmin
from auditlog.models import LogEntry
from django.contrib.admin import AdminSite
from django.urls import path

from dotenv_cloud import urls


class Stock(LogEntryAdmin):
    # As it comes, but for the columns of a user that ours does not have.
    search_fields = ("timestamp", "object_repr", "changes", "actor__email")


site = AdminSite(name="stock")
site.register(LogEntry, Stock)

urlpatterns = [path("stock/", site.urls), *urls.urlpatterns]
