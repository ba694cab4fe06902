"""Listeners at the hooks of connections and administrations. Only `wiring` imports from here."""
