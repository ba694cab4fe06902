"""The documentation, rendered inside the product under /help/."""
