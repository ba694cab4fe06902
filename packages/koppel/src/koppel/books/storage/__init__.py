"""Storage of the books: writing pages of records, marking deletions, erasing."""
