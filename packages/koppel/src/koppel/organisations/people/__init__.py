"""Members of a firm: their role and access, what hangs on them, and who operates the installation."""
