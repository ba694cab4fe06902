"""What syncs do when lower apps call their hooks. Only `wiring` imports from here."""
