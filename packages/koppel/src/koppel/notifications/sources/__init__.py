"""Events that this app opens itself."""
