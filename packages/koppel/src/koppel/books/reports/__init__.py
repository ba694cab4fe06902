"""Trial balance, result and the periods that they are asked for."""
