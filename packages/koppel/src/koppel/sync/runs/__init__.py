"""Runs and their checkpoints: requested (`services`, `schedule`), queued (`queue`), claimed (`claims`)."""
