"""Backups: written from one snapshot, verified, encrypted to public keys, and restored into an empty place.

A backup is a folder of files; see `koppel.cli.backup.manifest`.
"""
