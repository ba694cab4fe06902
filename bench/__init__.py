"""Measurements. `python -m bench` runs all of them, `python -m bench ID`
one; bench/README.md says what each is for."""
