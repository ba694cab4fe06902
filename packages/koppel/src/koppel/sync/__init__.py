"""Syncs: a queue of runs, workers that hold them, and pages that are written exactly once.

Start reading at `runs.queue`. The `worker` claims runs from it and executes them with the `engine`.
`progress` and `changes` serve the user interface and the API; `listeners` reacts to changes of connections
and administrations.
"""
