"""Groups of administrations: divisions, and templates of settings."""
