"""The demo: a firm with known people, and the whole main job without a person. The only configuration that
names a vendor.
"""
