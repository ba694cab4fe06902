"""Tools with no opinion about accounting: tenancy, secrets, outbound HTTP, jobs, clock, embedded PostgreSQL."""
