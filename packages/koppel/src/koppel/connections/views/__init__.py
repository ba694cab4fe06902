"""Pages of connections: the list, one connection with its actions, and the app registrations."""
