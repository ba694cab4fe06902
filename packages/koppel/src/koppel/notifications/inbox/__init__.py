"""The notifications of a person on screen."""
