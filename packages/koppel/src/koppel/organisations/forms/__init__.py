"""Forms of the firm's pages."""
