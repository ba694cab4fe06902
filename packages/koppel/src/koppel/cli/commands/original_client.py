"""Talks to the original whose place a copy takes. This is the only call that a quarantine allows."""

import json
import time
from collections.abc import Iterator
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode, urljoin, urlsplit
from urllib.request import Request, urlopen

from django.urls import reverse

from koppel.kit.cli.errors import CommandError
from koppel.kit.models import InstallationIdentity
from koppel.kit.quarantine.replacement import digest

LOOPBACK_NAMES = ("127.0.0.1", "::1", "localhost")
CONFIRM_SECONDS = 15 * 60
RENEWAL_SECONDS = 15 * 60
"""So long the original waits for the answer of a token endpoint."""
POLL_SECONDS = 2
TIMEOUT_SECONDS = 30
ANSWER_BYTES_MAX = 16 * 1024 * 1024


class Original:
    """The installation that this one was copied from, by its public address."""

    def __init__(self, url: str) -> None:
        parts = urlsplit(url)
        is_local = parts.scheme == "http" and parts.hostname in LOOPBACK_NAMES
        if parts.scheme != "https" and not is_local:
            raise CommandError("Give the original's address with https://; its tokens travel over it.")
        self._url, self._token = url, ""

    def request(self, code: str, sender: str) -> str:
        """Ask to take its place; return the address of the page on which an operator confirms."""
        identity = InstallationIdentity.objects.get()
        answer = self._call(
            reverse("replacement"),
            {"installation": identity.uid, "code_digest": digest(code), "sender": sender},
        )
        self._token = str(answer["token"])
        return urljoin(self._url, str(answer["page"]))

    def wait_until_stopped(self) -> None:
        """Wait until an operator has confirmed and all renewals of tokens have ended. Raises
        `CommandError`.
        """
        deadline = time.monotonic() + CONFIRM_SECONDS
        while True:
            answer = self._call(reverse("replacement_request", args=[self._token]))
            if answer["state"] == "confirmed":
                if not answer["renewals_under_way"]:
                    return
                deadline = max(deadline, time.monotonic() + RENEWAL_SECONDS)
            elif answer["state"] == "refused" or time.monotonic() > deadline:
                raise CommandError(
                    "The original was not stopped: no operator confirmed it. Nothing was changed."
                )
            time.sleep(POLL_SECONDS)

    def grants(self) -> Iterator[list[dict[str, Any]]]:
        """Yield its tokens, in pages."""
        path, query = reverse("replacement_grants", args=[self._token]), ""
        while rows := self._call(f"{path}{query}")["grants"]:
            yield rows
            query = f"?after={rows[-1]['id']}"

    def _call(self, path: str, fields: dict[str, Any] | None = None) -> dict[str, Any]:
        body = urlencode(fields).encode() if fields is not None else None
        request = Request(f"{self._url}{path}", body, {"Accept": "application/json"})  # noqa: S310 - see above
        try:
            with urlopen(request, timeout=TIMEOUT_SECONDS) as response:  # noqa: S310
                answer: dict[str, Any] = json.loads(response.read(ANSWER_BYTES_MAX))
                return answer
        except HTTPError as error:
            raise CommandError(_refusal(self._url, error)) from None
        except (URLError, OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise CommandError(
                f"The original at {self._url} cannot be reached ({reason}). Where it never runs again, use"
                " --old-is-gone."
            ) from None


def _refusal(url: str, error: HTTPError) -> str:
    if error.code == 404:
        return f"{url} is no original of this copy, or an older version of Koppel."
    return f"{url} answered {error.code}. Nothing was changed."
