"""Registers of companies: numbers, sectors, and what a public register says of a company.

Begin with `numbers` to check one, with `lookups` to ask about a company: a job asks, and the answer comes by
a hook.
"""
