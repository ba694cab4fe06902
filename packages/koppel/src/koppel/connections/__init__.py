"""Links to accounting systems: app registrations, consent, connections and their tokens.

Begin with `models`, then by what you look for: `consent` a sign-in, `vault` tokens, `sessions` calls to a
vendor, `rate_limits` how many, `companies` what a consent reaches, `health` states, `lifecycle` what a person
does with a connection.
"""
