"""A program that simulates an accounting system. It does not depend on Koppel and is reached by URL only."""
