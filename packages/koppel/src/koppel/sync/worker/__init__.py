"""The worker process: executes runs and jobs, renews tokens, and takes over from dead workers."""
