"""Issues within what a member may see, and what members do with them.

Begin with `queries`: pages of issues by their state; `services` assigns, snoozes, dismisses and comments.
"""
