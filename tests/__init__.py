"""Tests through the doors people and machines use, on a real PostgreSQL and over real HTTP."""
