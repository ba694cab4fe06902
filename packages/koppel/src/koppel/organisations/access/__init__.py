"""Authentication and authorisation: sessions, tokens, second steps, the organisation's security policy."""
