"""Mails: their content (`messages`), and sending each once (`delivery`, `smtp`)."""
