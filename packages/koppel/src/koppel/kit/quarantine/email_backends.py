"""How mail leaves: Django's backends, closed while the installation is in quarantine."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends import filebased, smtp

from koppel.kit import quarantine


class SmtpBackend(smtp.EmailBackend):
    """To a mail server. In quarantine it is not even connected to."""

    def open(self) -> bool | None:
        quarantine.refuse()
        return super().open()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        quarantine.refuse()
        return super().send_messages(email_messages)


class FileBackend(filebased.EmailBackend):
    """Into files, of which none is written in quarantine."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        quarantine.refuse()
        return super().send_messages(email_messages)
