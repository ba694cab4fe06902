"""The change log: what syncs changed in the books, written in the transaction of each page."""
