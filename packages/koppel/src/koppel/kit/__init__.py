"""The technical base, without knowledge of accounting: tenancy, secrets, HTTP, jobs, clock, PostgreSQL.

Start with `tenancy` (the organisation whose rows a transaction may access), `http` (all outbound calls) and
`hooks` (how a higher app registers with a lower one).
"""
