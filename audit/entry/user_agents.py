"""A user agent in words: what a person would call the program, and what it ran on.

Only a hint, as anybody may send any; the text itself is shown beside it. Browsers name each other
for old compatibility's sake, so the order of the patterns matters (RFC 9110, section 10.1.5).
"""

from __future__ import annotations

import re

LONGEST = 500
"""Characters that are looked at."""

_PROGRAMS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\bdotenv-cli/([\w.+-]+)", "dotenv command"),
        (r"\bdotenv-(\w+)-sdk/([\w.+-]+)", "dotEnv SDK"),
        (r"\bcurl/([\d.]+)", "curl"),
        (r"\bWget/([\d.]+)", "Wget"),
        (r"\bpython-httpx/([\d.]+)", "Python (httpx)"),
        (r"\bpython-requests/([\d.]+)", "Python (requests)"),
        (r"\bPython-urllib/([\d.]+)", "Python (urllib)"),
        (r"\bGo-http-client/([\d.]+)", "a Go program"),
        (r"\b(?:node-fetch|undici|axios)/([\d.]+)", "a Node.js program"),
        (r"\bPostmanRuntime/([\d.]+)", "Postman"),
        (r"\bGitHub-Actions\b()", "GitHub Actions"),
        (r"\bEdg(?:e|A|iOS)?/(\d+)", "Edge"),
        (r"\bOPR/(\d+)", "Opera"),
        (r"\bSamsungBrowser/(\d+)", "Samsung Internet"),
        (r"\bFirefox/(\d+)", "Firefox"),
        (r"\bFxiOS/(\d+)", "Firefox"),
        (r"\bCriOS/(\d+)", "Chrome"),
        (r"\bHeadlessChrome/(\d+)", "Chrome without a window"),
        (r"\bChrome/(\d+)", "Chrome"),
        (r"\bVersion/(\d+)[\d.]* (?:Mobile/\w+ )?Safari/", "Safari"),
    )
)

_SYSTEMS = tuple(
    (re.compile(pattern), name)
    for pattern, name in (
        (r"\biPhone\b", "iPhone"),
        (r"\biPad\b", "iPad"),
        (r"\bAndroid\b", "Android"),
        (r"\bWindows\b", "Windows"),
        (r"\bMac OS X\b|\bmacOS\b|\bdarwin\b", "macOS"),
        (r"\bCrOS\b", "ChromeOS"),
        (r"\bLinux\b|\blinux\b", "Linux"),
    )
)


def in_words(user_agent: str) -> str:
    """`Firefox 144 on Linux`; empty if nothing in it is known."""
    text = user_agent[:LONGEST]
    program = next(
        (_named(name, found) for pattern, name in _PROGRAMS if (found := pattern.search(text))), ""
    )
    system = next((name for pattern, name in _SYSTEMS if pattern.search(text)), "")
    return f"{program} on {system}" if program and system else program


def _named(name: str, found: re.Match[str]) -> str:
    *language, version = found.groups()
    spoken = f"{name} for {language[0].capitalize()}" if language else name
    return f"{spoken} {version}".strip()
