"""What the audit log records, which only the apps that act know."""

from django.utils.functional import Promise

from koppel.kit.hooks import Registry

action_labels = Registry[str | Promise]()
"""Every action that Koppel can record, with the words that a person reads."""
