"""Runs: asked for (`services`, `schedule`), waiting (`queue`), held by a worker (`claims`), with their
checkpoints."""
