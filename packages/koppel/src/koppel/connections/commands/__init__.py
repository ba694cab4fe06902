"""Commands about connections, one file per group."""
