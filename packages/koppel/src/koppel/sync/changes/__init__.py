"""The log of what syncs changed in the books: written with each page, read by people and programs."""
