"""The REST API: its root, description and errors. Resources are in the apps; begin with `v1`, which mounts
them.
"""
