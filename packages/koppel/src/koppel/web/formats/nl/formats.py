"""Dutch; the month in lower-case letters, so that it is not mistaken for a day."""

SHORT_DATE_FORMAT = "j b Y"
SHORT_DATETIME_FORMAT = "j b Y H:i"
TIME_FORMAT = "H:i"
