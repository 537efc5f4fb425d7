"""Questions that show what may be asked. docs/review.md says what each means."""

from __future__ import annotations

EXAMPLES = (
    "who deleted the production environment?",
    "what did jane do yesterday?",
    "what changed in my-app this week?",
    "failed sign-ins in the last 30 days",
    "when was my-app last rotated?",
    "what happened to my-app/backend?",
    "who read the secrets of my-app?",
    "which secrets did jane read?",
    "who changed jane's role?",
    "who was promoted to owner this quarter?",
    "who changed jane's permissions?",
    "who changed jane's password?",
    "who added bob?",
    "who removed bob?",
    "who used the API key ci?",
    "who revoked the API key ci?",
    "new API keys this month",
    "access changes in the last 90 days",
    "changes outside office hours",
    "failed sign-ins not from 192.0.2.0/24",
    "everything except by ci",
    "what changed since the last rotation of my-app?",
    "how many secrets did jane read?",
    "top 10 users by reads of secrets",
    "denied requests per day",
    "addresses with more than 5 failed sign-ins",
    "last 5 changes to my-app",
    "who exported the log?",
)
