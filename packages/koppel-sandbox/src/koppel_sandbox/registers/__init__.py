"""Simulates four public registers by their published descriptions or recorded responses.

They are the Dutch, Norwegian and Finnish company registers and the VAT service of the European Commission.
They contain the sandbox's companies and the Dutch register's own test companies.
"""
