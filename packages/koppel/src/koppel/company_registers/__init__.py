"""Registers of companies: numbers, sectors, and lookups at public registers.

Begin with `numbers` to check one, with `lookups` to ask about a company: a job asks, and the answer comes by
a hook.
"""
