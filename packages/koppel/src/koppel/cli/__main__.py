"""`python -m koppel.cli` is `koppel`."""

from koppel.cli.main import main

main()
