"""The administration: its states, identity, assignment, settings in force."""
