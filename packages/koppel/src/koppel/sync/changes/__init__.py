"""The change log: the changes of the books by syncs, written in the transaction of each page."""
