"""Trial balance, result and their periods."""
