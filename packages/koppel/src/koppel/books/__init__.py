"""The books: entries, accounts and the other records that syncs store, and how they are read.

Start with `models` and `storage.writer`, which a sync calls with each page. `read`, `reports`, `export` and
`sql_access` make the books available to people and programs.
"""
