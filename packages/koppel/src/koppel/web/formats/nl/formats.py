"""Dutch; the month in letters (small ones, as Dutch has it), so that no day is taken for a month."""

SHORT_DATE_FORMAT = "j b Y"
SHORT_DATETIME_FORMAT = "j b Y H:i"
TIME_FORMAT = "H:i"
