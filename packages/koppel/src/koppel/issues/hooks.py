"""Where issues are shown by a higher app."""

from koppel.kit.hooks import SingleHook

issues_url = SingleHook[[], str](lambda: "")
"""The page of all open issues."""
