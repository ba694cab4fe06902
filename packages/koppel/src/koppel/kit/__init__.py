"""Tools that know nothing about accounting: tenancy, secrets, outbound HTTP, jobs, clock, embedded
PostgreSQL.

Begin with `tenancy` (the organisation whose rows a transaction may touch), `http` (all outbound calls) and
`hooks` (how a higher app registers with a lower one).
"""
