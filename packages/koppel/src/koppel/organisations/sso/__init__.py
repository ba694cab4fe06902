"""Single sign-on: the firm's identity provider, the protocol, and which account belongs to which person."""
