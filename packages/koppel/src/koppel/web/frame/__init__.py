"""The frame of every page: navigation, organisation, counts."""
