"""Formats in XML: XAF, SAF-T and SIE 5. They need the extra `xml`, which brings lxml."""
