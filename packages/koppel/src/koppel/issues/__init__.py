"""Issues: problems that a person must fix, each with the button that fixes it.

Begin with `services`: an issue is raised once, refreshed while it lasts, and resolved by the code that raised
it. The texts of each code come from the app that raises it (`issue_types`).
"""
