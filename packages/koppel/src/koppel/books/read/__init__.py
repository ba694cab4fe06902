"""Reads of the books: records, entries, and what changed since a moment."""
