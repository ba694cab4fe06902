"""The audit log of the firm, as far as each may read it."""
