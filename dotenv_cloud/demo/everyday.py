"""Ordinary days at Acme: people sign in, builds fetch keys, previews come and go, auditors read.

What happens on which day depends only on the plan's seeded random numbers, so demos of the same day
have the same history.
"""

from __future__ import annotations

import datetime as dt
from functools import partial

from audit.policy import Interface
from dotenv_cloud.demo import acme, reading
from dotenv_cloud.demo.acme import Acme
from dotenv_cloud.demo.stage import Person, Plan, program, sign_in, sign_out
from organizations import hierarchy
from organizations.models import Environment

# Who works there on which days (first and last, days ago), and how often they sign in.
PRESENCE: tuple[tuple[Person, int, int, float], ...] = (
    (acme.OLIVIA, 89, 0, 0.7),
    (acme.JANE, 89, 0, 0.9),
    (acme.DEV, 89, 0, 0.9),
    (acme.PRIYA, 88, 0, 0.85),
    (acme.MARCO, 86, 0, 0.6),
    (acme.LENA, 81, 26, 0.8),
    (acme.SAM, 63, 0, 0.9),
    (acme.BILL, 84, 15, 0.15),
)

# Whose keys builds fetch: project, since how many days ago, at most how often per day.
BUILDS = (
    ("storefront", 87, 5),
    ("payments", 85, 3),
    ("mobile-app", 72, 2),
)

QUESTIONS: tuple[dict[str, str], ...] = (
    {"since": "7d"},
    {"action": "delete", "since": "30d"},
    {"action": "rotate", "since": "30d"},
    {"action": "grant,revoke", "since": "7d"},
    {"result": "denied", "since": "7d"},
    {"action": "sign_in", "result": "failed", "since": "30d"},
    {"type": "api_key", "since": "30d"},
    {"resource": "storefront", "since": "7d"},
)


def plan_days(plan: Plan, story: Acme) -> None:
    """Add ninety ordinary days."""
    for days_ago in range(89, -1, -1):
        _plan_nightly_load(plan, story, days_ago)
        if not plan.is_workday(days_ago):
            continue
        _plan_people(plan, days_ago)
        _plan_builds(plan, story, days_ago)
        _plan_preview(plan, story, days_ago)
        _plan_readers(plan, story, days_ago)


def _time(plan: Plan, first_hour: int, last_hour: int) -> str:
    seconds = plan.random.randrange(first_hour * 3600, last_hour * 3600)
    return str(dt.time(seconds // 3600, seconds // 60 % 60, seconds % 60))


def _plan_people(plan: Plan, days_ago: int) -> None:
    for who, first, last, chance in PRESENCE:
        arrival, departure = _time(plan, 7, 9), _time(plan, 16, 19)
        comes, leaves = plan.random.random() < chance, plan.random.random() < 0.6
        if comes and first >= days_ago >= last:
            plan.add(days_ago, arrival, partial(sign_in, who))
            if leaves:
                plan.add(days_ago, departure, partial(sign_out, who))


def _plan_builds(plan: Plan, story: Acme, days_ago: int) -> None:
    for project, since, most in BUILDS:
        for _ in range(plan.random.randint(1, most)):
            moment = _time(plan, 9, 18)
            if days_ago <= since:
                plan.add(days_ago, moment, partial(story.retrieve, "ci", project, acme.CI))
    if days_ago <= 82:
        pull = partial(story.pull, "dev@laptop", "storefront/backend/staging", acme.DEV.ip)
        plan.add(days_ago, _time(plan, 9, 12), pull)
    if days_ago <= 61:
        pull = partial(story.pull, "sam@laptop", "mobile-app/ios/staging", acme.SAM.ip)
        plan.add(days_ago, _time(plan, 9, 12), pull)


def _plan_nightly_load(plan: Plan, story: Acme, days_ago: int) -> None:
    # The warehouse was renamed to analytics.
    if days_ago <= 79:
        project = "data-warehouse" if days_ago >= 52 else "analytics"
        plan.add(days_ago, "01:30:00", partial(story.retrieve, "ci", project, acme.CI))


def _plan_preview(plan: Plan, story: Acme, days_ago: int) -> None:
    """An environment for a change under review, deleted some days later."""
    if days_ago > 83:
        return
    name = f"Preview {1000 - days_ago * 7 + plan.random.randrange(5)}"
    lifetime = plan.random.randint(1, 5)
    plan.add(days_ago, _time(plan, 9, 12), partial(_make_preview, story, name))
    plan.add(days_ago - lifetime, _time(plan, 13, 18), partial(_drop_preview, story, name))


def _make_preview(story: Acme, name: str) -> None:
    with program(story.keys["preview-bot"], acme.CI, acme.PREVIEW_AGENT):
        hierarchy.create_environment(
            story.target("storefront/web"), name, status=Environment.Status.DEVELOPMENT
        )


def _drop_preview(story: Acme, name: str) -> None:
    with program(story.keys["preview-bot"], acme.CI, acme.PREVIEW_AGENT):
        hierarchy.delete_node(story.target("storefront/web").environments.get(name=name))


def _plan_readers(plan: Plan, story: Acme, days_ago: int) -> None:
    weekday = (plan.today - dt.timedelta(days=days_ago)).weekday()
    if weekday in (0, 3) and days_ago <= 86:
        plan.add(days_ago, "09:30", partial(sign_in, acme.ADA))
        for minute in range(31, 36):
            question = plan.random.choice(QUESTIONS)
            scene = partial(reading.view, acme.ADA, story, question)
            plan.add(days_ago, f"09:{minute}", scene)
        plan.add(days_ago, "10:15", partial(sign_out, acme.ADA))
    if weekday == 2 and days_ago <= 85:
        plan.add(days_ago, "14:00", partial(sign_in, acme.CARL))
        for minute in range(1, 4):
            question = plan.random.choice(QUESTIONS)
            scene = partial(reading.view, acme.CARL, story, question, Interface.ADMIN)
            plan.add(days_ago, f"14:{minute:02}", scene)
    if days_ago in (59, 29, 1):
        scene = partial(reading.export, acme.ADA, story, {"since": "30d"}, "ndjson")
        plan.add(days_ago, "09:50", scene)
