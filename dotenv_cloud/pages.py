"""What holds for every page: it is not cached, and a lost race is reported as such."""

from __future__ import annotations

from collections.abc import Callable

from django.core.exceptions import ObjectDoesNotExist
from django.db import IntegrityError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render

from dotenv_cloud.api.errors import page_not_found


class PageMiddleware:
    """`Cache-Control: no-store` on everything but static files (which are answered before) and what
    never changes and says nothing (tiles of hashes), and 404 or 409 if a concurrent request was
    faster; the API does this itself."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        said = response.headers.get("Cache-Control", "")
        if "no-store" not in said and "immutable" not in said:
            response.headers["Cache-Control"] = "no-store"
        return response

    def process_exception(self, request: HttpRequest, exception: Exception) -> HttpResponse | None:
        """Called when the transaction of the view has been rolled back."""
        if isinstance(exception, ObjectDoesNotExist):
            # It was there when the request began.
            return page_not_found(request, Http404())
        said = str(exception).lower()
        if isinstance(exception, IntegrityError) and ("unique" in said or "foreign key" in said):
            return render(request, "409.html", status=409)
        return None
