"""Benchmarks. `python -m bench` runs all of them, `python -m bench ID` one; see bench/README.md."""
