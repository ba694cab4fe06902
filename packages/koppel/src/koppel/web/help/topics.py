"""The page of the documentation that explains each page of the product."""

from collections.abc import Mapping

from django.urls import reverse

from koppel.web.help.documents import section_url

TOPICS: Mapping[str, str] = {
    "account": "people#your-account",
    "administrations": "administrations",
    "administrations:bulk": "administrations#change-many-at-once",
    "api": "api",
    "books": "books",
    "connections": "connections",
    "connections:apps": "app-registrations",
    "imports": "getting-started#watch-the-import",
    "issues": "issues",
    "mfa": "people#your-account",
    "notifications": "notifications",
    "onboarding": "getting-started",
    "organisations": "people",
    "organisations:settings": "administrations#settings",
    "organisations:templates": "administrations#templates",
    "registers": "registers",
    "sync": "sync",
    "web": "getting-started",
    "web:activity": "people#activity",
    "webhooks": "notifications#webhooks",
}
"""Page and section of the English documentation by URL name or its beginning; the longest that fits counts.
"""


def help_url(view_name: str) -> str:
    """Return the URL of the help for a page with this URL name (`connections:list`); the list of all help
    pages when none explains it.
    """
    namespace, _colon, name = view_name.partition(":")
    candidates = [topic for topic in TOPICS if topic == namespace or f"{namespace}:{name}".startswith(topic)]
    candidates = [topic for topic in candidates if ":" in topic or topic == namespace]
    if not candidates:
        return reverse("web:help")
    page, _hash, anchor = TOPICS[max(candidates, key=len)].partition("#")
    return section_url(page, anchor)
