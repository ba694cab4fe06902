"""Formats of dates and times as accountants in Europe read them, in every language of the pages."""
