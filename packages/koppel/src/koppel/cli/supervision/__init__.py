"""Programs that are kept running, and the signs that they are."""
