"""Organisation, division, template, member, role and permission: the only answer to "may I?"."""
