"""Telling programs of the organisation's own: addresses that Koppel calls when something happens."""
