"""Tests through the interfaces people and machines use, on a real PostgreSQL and over real HTTP."""
