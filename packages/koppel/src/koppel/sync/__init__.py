"""Syncs: which run comes next, who holds it, and how a page becomes rows exactly once.

Begin with `runs.queue`; the `worker` takes runs from it and has the `engine` execute them. `progress` and
`changes` tell people, `listeners` is what syncs do when connections and administrations call.
"""
