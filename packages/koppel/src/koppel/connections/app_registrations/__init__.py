"""App registrations: with which client id and secret an accounting system is called, of an organisation or of
the installation.

Begin with `services` (an organisation's own) or `installation` (the operator's); `redirects` knows the
address of the callback.
"""
