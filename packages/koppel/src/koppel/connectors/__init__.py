"""One folder per accounting system. A connector is removed by deleting its folder and entry point."""
