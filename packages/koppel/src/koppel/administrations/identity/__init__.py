"""The identity of an administration: entered by a person, checked with registers, checked again each year."""
