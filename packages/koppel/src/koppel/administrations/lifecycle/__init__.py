"""The lifecycle of an administration: import withdrawn, client left, blocked, erased; and its predecessor."""
