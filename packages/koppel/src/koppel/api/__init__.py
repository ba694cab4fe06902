"""The REST API: its root, its description and its errors. Resources stand in the apps; begin with `v1`, which
mounts them."""
