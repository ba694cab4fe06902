"""Visma Connect and the Visma.net ERP API, as far as third parties can
tell (facts: the published API descriptions)."""
