"""Queries of the books: records, entries, and changes since a moment."""
