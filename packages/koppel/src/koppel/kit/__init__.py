"""Tools with no opinion about accounting: tenancy, secrets, outbound HTTP, jobs, clock, embedded PostgreSQL.

Begin with `tenancy` (whose rows a transaction may touch), `http` (the only way out) and `hooks` (how a lower
app uses a higher one).
"""
