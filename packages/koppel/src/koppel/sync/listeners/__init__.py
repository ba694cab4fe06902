"""Listeners of syncs at the hooks of lower apps. Only `wiring` imports from here."""
