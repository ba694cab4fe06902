"""The list of administrations: its request (`query`), search (`queryset`), display (`columns`, `page_rows`)
and saved views.
"""
