"""Emails: their content (`composer`), delivery at most once (`outbox`, `delivery`, `smtp`), and the link to
`unsubscribe`.
"""
