"""Consent: a person signs in at the vendor, and comes back with tokens; or hands over company ids, where
nobody can sign in.

Begin with `attempts`: a sign-in is an attempt that only the browser which began it can end. `completion` says
what it leaves behind, `service_companies` does without a sign-in.
"""
