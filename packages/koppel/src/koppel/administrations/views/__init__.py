"""Pages of administrations: the list, bulk work, and one administration's own tabs."""
