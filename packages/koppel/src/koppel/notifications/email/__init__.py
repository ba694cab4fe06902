"""Mails: what stands in one (`messages`), and how it leaves without coming twice (`delivery`, `smtp`)."""
