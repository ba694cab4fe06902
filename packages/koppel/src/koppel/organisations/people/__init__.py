"""Members of a firm: role and access, handing over, and operators of the installation."""
