"""What the question bar tells of itself."""

from __future__ import annotations

from collections.abc import Sequence

from django import template

from audit.questions.bar.phrases import FORMS

register = template.Library()


@register.simple_tag
def question_forms() -> Sequence[str]:
    """A question of each form, the shape that people remember."""
    return [form.example for form in FORMS]
