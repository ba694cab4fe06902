"""Organisation, division, template, member, role and permission, and every permission check.

Begin with `roles`: an `Actor` acts in one organisation, with the permissions of a role. Sign-in is in
`access` and `sso`; the other packages are the firm's people and their groups.
"""
