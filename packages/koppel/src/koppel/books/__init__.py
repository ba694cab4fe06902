"""The books: entries, accounts and the other records that syncs keep, and how they are read.

Begin with `models` and `storage.writer`, which a sync calls with each page; `read`, `reports`, `export` and
`sql_access` give them to people and programs.
"""
