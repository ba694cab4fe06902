"""The list of administrations: what is asked for (`query`), found (`queryset`), shown (`columns`,
`page_rows`) and saved.
"""
