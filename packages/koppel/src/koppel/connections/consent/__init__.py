"""Consent: a person signs in at the vendor, or enters company ids where no sign-in exists.

Begin with `services`. `attempts` binds a sign-in to the browser that began it and exchanges its code,
`completion` stores the result, `service_companies` adds companies without a sign-in.
"""
