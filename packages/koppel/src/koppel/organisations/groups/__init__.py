"""What administrations hang on: divisions and templates of settings."""
