"""Check the addresses of Koppel, and the delivery of its mail."""

import os
import smtplib
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import get_connection, send_mail

from koppel.cli.checks.result import CheckFinding, advice
from koppel.cli.ports import THIS_MACHINE
from koppel.kit import quarantine
from koppel.kit.database.embedded_postgres import is_free
from koppel.kit.http.txt_records import ask_name_servers
from koppel.kit.web import paths
from koppel.organisations.access.domain_verification import has_domains_to_check

ADDRESS, MAIL, NAME_SERVERS = "public address", "mail", "name servers"
ANSWER_SECONDS = 5
HEALTHY = b'"status": "ok"'


def check_addresses(web_port: int) -> Iterator[CheckFinding]:
    """Check `KOPPEL_PUBLIC_URL`, and whether Koppel knows the proxies in front of it."""
    url = os.environ.get("KOPPEL_PUBLIC_URL", "")
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.path.strip("/"):
        yield CheckFinding(
            topic=ADDRESS,
            is_ok=False,
            text=f"KOPPEL_PUBLIC_URL is {url!r}; set it to the address people type, https://….",
        )
        return
    if parts.scheme == "http" and parts.hostname not in THIS_MACHINE:
        text = f"KOPPEL_PUBLIC_URL {url} is not https; put a proxy with a certificate before it."
        yield CheckFinding(topic=ADDRESS, is_ok=False, text=text)
    elif quarantine.last_known() and parts.hostname not in THIS_MACHINE:
        # A restored copy has the address of the original.
        yield advice(ADDRESS, f"Whether Koppel answers at {url} is not tried: it is in quarantine.")
    elif not is_free(web_port) and (reason := _unreachable_reason(url)):
        text = f"KOPPEL_PUBLIC_URL is {url}, but there Koppel does not answer from here: {reason}"
        yield CheckFinding(
            topic=ADDRESS, is_ok=False, text=f"{text}. Correct it, or the proxy in front of Koppel."
        )
    elif parts.hostname in THIS_MACHINE:
        text = (
            f"People reach Koppel at {url}: on this machine alone. For others, "
            f"set KOPPEL_PUBLIC_URL to what they type."
        )
        yield advice(ADDRESS, text)
    else:
        yield CheckFinding(topic=ADDRESS, is_ok=True, text=f"People reach Koppel at {url}.")
    if parts.scheme == "https" and os.environ.get("KOPPEL_PROXIES", "0") == "0":
        yield advice(
            "proxy",
            "KOPPEL_PROXIES is not set, so every sign-in seems to come from the proxy: "
            "wrong passwords of one person slow down"
            " all. With one proxy that sets X-Forwarded-For and X-Forwarded-Proto, set it to 1.",
        )


def check_mail() -> CheckFinding:
    """Check whether mail can be sent: connect and sign in at the mail server, without sending."""
    if not settings.SENDS_MAIL:
        return _check_mail_directory(str(settings.EMAIL_FILE_PATH))
    server = f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"
    if quarantine.last_known():
        return advice(
            MAIL, f"The mail server {server} is not tried: Koppel is in quarantine, and mail waits."
        )
    try:
        with get_connection(timeout=ANSWER_SECONDS):
            return CheckFinding(
                topic=MAIL,
                is_ok=True,
                text=f"Mail goes out through {server}, as {settings.DEFAULT_FROM_EMAIL}.",
            )
    except (OSError, smtplib.SMTPException) as error:
        text = f"The mail server {server} of KOPPEL_SMTP_URL does not let Koppel in: {_describe_error(error)}"
        return CheckFinding(topic=MAIL, is_ok=False, text=f"{text}. Mail waits, and goes out when it does.")


def check_name_servers() -> Iterator[CheckFinding]:
    """Check the name servers that verify e-mail domains; nothing where none is to be verified."""
    if not (settings.DNS_SERVERS or has_domains_to_check()):
        return
    if quarantine.last_known():
        yield advice(NAME_SERVERS, "The name servers are not asked: Koppel is in quarantine.")
        return
    servers = ask_name_servers()
    source = "KOPPEL_DNS_SERVERS" if settings.DNS_SERVERS else "of the system"
    names = ", ".join(server.address for server in servers)
    broken = [f"{server.address} {server.problem}" for server in servers if server.problem]
    if not broken and servers:
        text = f"E-mail domains are verified through the name servers {names} ({source}); all answer."
        yield CheckFinding(topic=NAME_SERVERS, is_ok=True, text=text)
    elif len(broken) < len(servers):
        yield advice(NAME_SERVERS, f"Name servers that give no valid answer: {'; '.join(broken)} ({source}).")
    else:
        reasons = "; ".join(broken) or "none is configured"
        yield CheckFinding(
            topic=NAME_SERVERS,
            is_ok=False,
            text=f"No name server gives a valid answer ({source}): {reasons}. New e-mail domains stay "
            "unverified; verified ones stay so. KOPPEL_DNS_SERVERS names others.",
        )


def send_test_mail(to: str) -> CheckFinding:
    """Send a test mail."""
    if quarantine.last_known():
        return CheckFinding(
            topic="mail to you", is_ok=False, text=f"No mail was sent to {to}. {quarantine.SENTENCE}"
        )
    text = f"Koppel at {settings.PUBLIC_URL} sent this to see whether its mail arrives. It does."
    try:
        send_mail("Koppel can send mail", text, None, [to])
    except (OSError, smtplib.SMTPException) as error:
        return CheckFinding(
            topic="mail to you",
            is_ok=False,
            text=f"The mail to {to} was not accepted: {_describe_error(error)}.",
        )
    where = (
        "handed to the mail server"
        if settings.SENDS_MAIL
        else f"written to a file in {settings.EMAIL_FILE_PATH}"
    )
    return CheckFinding(topic="mail to you", is_ok=True, text=f"A mail to {to} was {where}.")


def _check_mail_directory(directory: str) -> CheckFinding:
    """Accept mail files for a trial on one machine, or in a chosen directory; otherwise mail would be lost
    unnoticed.
    """
    text = (
        f"KOPPEL_SMTP_URL is not set, so no mail is sent: invitations, "
        f"links for a new password and notices become files in"
        f" {directory} and reach no recipient."
    )
    is_chosen = Path(directory) != Path(os.environ.get("KOPPEL_DATA_DIR", "")) / "mail"
    is_trial = urlsplit(os.environ.get("KOPPEL_PUBLIC_URL", "")).hostname in THIS_MACHINE
    return advice(MAIL, text) if is_chosen or is_trial else CheckFinding(topic=MAIL, is_ok=False, text=text)


def _unreachable_reason(url: str) -> str:
    """Return why Koppel cannot be reached at its own address; '' when it can."""
    try:
        with urllib.request.urlopen(f"{url.rstrip('/')}{paths.READY}", timeout=ANSWER_SECONDS) as response:  # noqa: S310 - http or https
            return "" if HEALTHY in response.read(64) else "another program answers"
    except urllib.error.HTTPError as error:
        return f"the answer is {error.code}"
    except (OSError, ValueError) as error:
        return _describe_error(error)


def _describe_error(error: Exception) -> str:
    """Return the server's reply, or the reason of the failure, without a full stop."""
    if isinstance(error, smtplib.SMTPResponseException):
        reply = error.smtp_error
        text = reply.decode(errors="replace") if isinstance(reply, bytes) else reply
        return f"{error.smtp_code} {text}".rstrip(".")
    return str(getattr(error, "reason", "") or error or type(error).__name__).rstrip(".")
