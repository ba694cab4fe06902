"""What pages of connections show: the list, and the page of one connection."""
