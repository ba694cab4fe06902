"""Hooks for the places where higher apps show issues."""

from koppel.kit.hooks import SingleHook

issues_url = SingleHook[[], str](lambda: "")
"""The page of all open issues."""
