"""Commands about the firm: people, divisions, templates; and operators of the installation."""
