"""Reports: the trial balance and the results per period."""
