"""The command tree: start, watch and stop the programs; business rules are in the apps.

Begin with `main`; what runs on a server is in `servers` and `supervision`, an operator's commands in
`commands` and `checks`.
"""
