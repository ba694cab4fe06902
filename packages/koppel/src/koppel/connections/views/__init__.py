"""Pages of connections: what there are, what a person does with one, and the app registrations."""
