"""What the question bar says about itself."""

from __future__ import annotations

from collections.abc import Sequence

from django import template

from audit.questions import bar

register = template.Library()


@register.simple_tag
def question_forms() -> Sequence[str]:
    return bar.examples()
