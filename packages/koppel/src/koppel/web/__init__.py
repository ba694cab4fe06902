"""The frame around the pages: sign-in, navigation, dashboard, search. No business rules.

Begin with `auth.middleware`, which makes an `Actor` of a request, and `urls`.
"""
