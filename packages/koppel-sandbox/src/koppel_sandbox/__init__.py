"""A program that plays the accounting system. It knows nothing of Koppel and is reached only by URL."""
