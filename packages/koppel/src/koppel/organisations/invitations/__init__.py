"""Invitations, single or from a list."""
