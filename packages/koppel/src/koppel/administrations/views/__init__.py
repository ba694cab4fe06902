"""Pages of administrations: the list, bulk work, and the tabs of one administration."""
