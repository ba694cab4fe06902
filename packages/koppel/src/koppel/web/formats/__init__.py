"""How dates and times are written: as accountants in Europe read them, whichever language the page is in."""
