"""Visma Connect and the Visma.net ERP API, as far as their published descriptions specify them."""
