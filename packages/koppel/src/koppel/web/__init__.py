"""The frame around the pages: sign-in, navigation, dashboard, search. No business rules.

Begin with `auth.middleware`, which turns a request into an `Actor`, and `urls`.
"""
