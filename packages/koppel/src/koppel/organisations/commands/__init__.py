"""The firm from the shell: people, divisions, templates; and who operates the installation."""
