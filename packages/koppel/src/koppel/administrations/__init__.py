"""Administrations: their states, identity, assignments and settings in force.

Begin with `access`: every query starts from what an actor may see. `list` finds, `bulk` changes many,
`lifecycle` starts and ends, `hooks` is what books and syncs add to an administration, `listeners` what it
does when lower apps call.
"""
