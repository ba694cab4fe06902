"""The contract that a connector fulfils; with `koppel.kit`, all that a connector may import.

Begin with `contract`; `errors` names for each failure who must act, `conformance` proves that a connector
keeps to all of it.
"""
