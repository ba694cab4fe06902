"""Who acts, in which organisation, and by what proof: sessions, tokens, second steps, the firm's security policy."""
