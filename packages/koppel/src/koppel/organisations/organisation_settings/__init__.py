"""What an Administrator decides for the whole organisation: its name, settings, logo and colour."""
