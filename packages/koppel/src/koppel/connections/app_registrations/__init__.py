"""App registrations: client ids and secrets at accounting systems, of an organisation or of the installation.

Begin with `services` (an organisation's own) or `installation` (the operator's); `redirects` knows the
redirect address.
"""
