"""The command tree. Starts, watches and stops the programs; business rules live in the slices."""
