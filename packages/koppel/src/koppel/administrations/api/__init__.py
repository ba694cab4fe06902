"""Administrations over REST: what the list and an administration's own pages do."""
