"""App registrations, connections, grants (the vault), consent, health, reconnect."""
