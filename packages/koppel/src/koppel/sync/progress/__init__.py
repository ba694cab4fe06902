"""The progress of runs and imports, and estimates of their duration."""
