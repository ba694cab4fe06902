"""What the shell can do about connections, a file per branch of the command tree."""
