"""Plays four public registers in their published or recorded shapes: the Dutch, Norwegian and Finnish
company registers and the VAT service of the European Commission. They know the sandbox's companies
and the Dutch register's own test companies."""
