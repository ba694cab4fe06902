"""The contract that a connector fulfils; with `koppel.kit`, all that a connector may import."""
