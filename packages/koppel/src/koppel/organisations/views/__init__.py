"""Pages of people and of a person's own account."""
