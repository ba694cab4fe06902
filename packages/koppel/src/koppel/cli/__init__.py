"""The command tree. Starts, watches and stops the programs; business rules live in the apps.

Begin with `main`; what runs on a server is in `servers` and `supervisor`, what an operator may ask in
`commands` and `checks`.
"""
