"""Organisation, division, template, member, role and permission: the only answer to "may I?".

Begin with `roles`: an `Actor` is somebody who acts in one organisation, and may what the role may. Who signs
in how is in `access` and `sso`; the other packages are the firm's people and how they are grouped.
"""
