"""How a page of records becomes rows, and how rows are erased."""
