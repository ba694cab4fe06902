"""Which company an administration is: said by a person, checked with registers, checked again each year."""
