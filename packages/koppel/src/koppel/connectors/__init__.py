"""One folder per accounting system. Delete the folder and its entry point, and the connector is gone."""
