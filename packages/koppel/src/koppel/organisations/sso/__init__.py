"""Single sign-on: the firm's identity provider, the protocol, and linked accounts."""
