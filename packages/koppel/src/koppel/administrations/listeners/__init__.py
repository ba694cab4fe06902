"""Listeners of administrations at the hooks of lower apps. Only `wiring` imports from here."""
