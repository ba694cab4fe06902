"""Send an email to the mail server step by step: a failure before the message text is sent may be retried;
after that the server may have accepted the message, so it must not be sent again.
"""

import smtplib
from collections.abc import Callable
from email.utils import parseaddr

from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.core.mail.backends.smtp import EmailBackend
from django.core.mail.message import sanitize_address

from koppel.kit import quarantine


class TemporaryFailure(Exception):
    """The mail server did not accept the message now; it may be retried."""


class PermanentFailure(Exception):
    """The mail server will not take this mail."""


class UnknownOutcome(Exception):
    """The text was sent, but the connection broke before the mail server answered."""


class SmtpSession:
    """A connection to the mail server, for several emails."""

    def __init__(self) -> None:
        self._backend = get_connection()

    def close(self) -> None:
        """Close the connection to the mail server, if there is one."""
        self._backend.close()

    def send(self, message: EmailMultiAlternatives, before_data: Callable[[], bool]) -> bool:
        """Hand the email over. `before_data` is called right before the text is sent; when it returns False
        nothing is sent, and this returns False. Raises the errors above, and `Quarantined` before anything
        was sent to the mail server.
        """
        quarantine.refuse()
        if not isinstance(self._backend, EmailBackend):
            if not before_data():
                return False
            self._backend.send_messages([message])
            return True
        smtp = self._open_connection(self._backend, message)
        if not before_data():
            smtp.rset()
            return False
        try:
            reply: tuple[int, bytes | str] = smtp.data(
                message.message().as_bytes()
            )  # smtplib ends lines as SMTP wants
        except smtplib.SMTPDataError as refusal:  # refused before the text
            reply = refusal.smtp_code, refusal.smtp_error
        except (OSError, smtplib.SMTPException) as error:
            self._backend.close()
            raise UnknownOutcome(type(error).__name__) from None
        _raise_for_reply(*reply)
        return True

    def _open_connection(self, backend: EmailBackend, message: EmailMultiAlternatives) -> smtplib.SMTP:
        """Return a connection on which the server has accepted sender and receiver."""
        try:
            backend.open()
            smtp: smtplib.SMTP | None = backend.connection
            if smtp is None:
                raise TemporaryFailure("no connection")
            smtp.ehlo_or_helo_if_needed()
            _raise_for_reply(*smtp.mail(parseaddr(settings.DEFAULT_FROM_EMAIL)[1]))
            # Domains with letters beyond ASCII go over the line in their ASCII form.
            _raise_for_reply(*smtp.rcpt(sanitize_address(message.to[0], "utf-8")))
        except (OSError, smtplib.SMTPException) as error:
            backend.close()
            raise TemporaryFailure(f"{type(error).__name__}: {error}") from None
        except (TemporaryFailure, PermanentFailure):
            backend.close()
            raise
        return smtp


def _raise_for_reply(code: int, reply_text: bytes | str) -> None:
    if code < 400:
        return
    text = reply_text.decode(errors="replace") if isinstance(reply_text, bytes) else reply_text
    raise (PermanentFailure if code >= 500 else TemporaryFailure)(f"{code} {text}")
