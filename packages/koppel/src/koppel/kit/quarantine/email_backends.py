"""Django's email backends, disabled during a quarantine."""

from collections.abc import Sequence

from django.core.mail import EmailMessage
from django.core.mail.backends import filebased, smtp

from koppel.kit import quarantine


class SmtpBackend(smtp.EmailBackend):
    """Sends to a mail server; does not even connect during a quarantine."""

    def open(self) -> bool | None:
        quarantine.refuse()
        return super().open()

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        quarantine.refuse()
        return super().send_messages(email_messages)


class FileBackend(filebased.EmailBackend):
    """Writes email to files, except during a quarantine."""

    def send_messages(self, email_messages: Sequence[EmailMessage]) -> int:
        quarantine.refuse()
        return super().send_messages(email_messages)
