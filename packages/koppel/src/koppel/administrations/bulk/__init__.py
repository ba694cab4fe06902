"""One act on many administrations: preview, then a job with a result for each, then perhaps an undo."""
