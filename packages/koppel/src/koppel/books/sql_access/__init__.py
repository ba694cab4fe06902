"""SQL access to the books: views, reader roles and their privileges."""
