"""The command palette's search: pages and actions, and what the organisation has, within what the actor may
see. `commands` are pages and actions, `records` are rows of tables, `queries` ranks both.
"""
