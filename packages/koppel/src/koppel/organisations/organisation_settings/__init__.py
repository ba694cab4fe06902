"""Settings of the whole organisation, which Administrators change: name, settings, logo and colour."""
