"""The notices of a person on screen."""
