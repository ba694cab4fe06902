"""The contract of connectors. A connector may import this package and `koppel.kit`, nothing else.

Start with `contract`. `errors` defines the failures, by who must act; `conformance` tests a connector against
the contract.
"""
