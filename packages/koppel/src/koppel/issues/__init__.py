"""Issues: what a person must fix, with the button that fixes it."""
