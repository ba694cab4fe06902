"""Text without case and accents, for sorting and searching, equal in Python and PostgreSQL.

The embedded server has neither ICU nor unaccent, so the letters of the supported countries are listed here.
"""

from django.db.models import Func, Value
from django.db.models.functions import Concat, Lower

from koppel.kit.database.text import compose

ACCENTED = "àáâãäåæçèéêëìíîïñòóôõöøœùúûüýÿšžÀÁÂÃÄÅÆÇÈÉÊËÌÍÎÏÑÒÓÔÕÖØŒÙÚÛÜÝŸŠŽ"
PLAIN = "aaaaaaaceeeeiiiinooooooouuuuyysz" * 2
_TABLE = str.maketrans(ACCENTED, PLAIN)


def normalize_search(text: str) -> str:
    """Return a search text in the form that `Folded` stores."""
    return compose(text).lower().translate(_TABLE)


def Folded(*names: str) -> Func:
    """Join columns by a space, without case and accents. Immutable, so that it can be a generated column."""
    parts = [part for name in names for part in (name, Value(" "))][:-1]
    text = Concat(*parts) if len(parts) > 1 else parts[0]
    return Func(Lower(text), Value(ACCENTED), Value(PLAIN), function="translate")
