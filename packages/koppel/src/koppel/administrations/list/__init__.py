"""The list of administrations: what is asked for (`query`), found (`queryset`), shown (`columns`, `rows`) and saved."""
