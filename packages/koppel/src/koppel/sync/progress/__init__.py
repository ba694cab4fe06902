"""How far runs and imports are, and how long they take."""
