"""REST operations on administrations: the list, and one administration."""
