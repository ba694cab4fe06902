"""SQL of queries that every page needs, compiled once instead of for each request.

The ORM takes milliseconds to turn a query with many conditions into SQL, longer than PostgreSQL to answer it.
The SQL depends on the kind of reader, the parameters on who reads: a query is compiled with stand-ins for
the values that vary, and these are replaced in its parameters.
"""

from collections.abc import Callable, Hashable, Mapping
from typing import Any

from django.db.models import QuerySet

SQL_CACHED_MAX = 1_000
_FIRST_STAND_IN = 2**61 + 1
"""No id and no other number of a query is that large."""


class CompiledQuery:
    """A query whose SQL is the same for all values of one shape.

    `build(shape, values)` returns the query set; it must use each of the values in conditions only, and must
    not send a statement.
    """

    def __init__(self, names: tuple[str, ...], build: Callable[[Any, Mapping[str, int]], "QuerySet[Any]"]):
        self._build = build
        self._stand_ins = {name: _FIRST_STAND_IN + number for number, name in enumerate(names)}
        self._compiled: dict[Hashable, tuple[str, tuple[Any, ...]]] = {}

    def sql(self, shape: Hashable, values: Mapping[str, int]) -> tuple[str, list[Any]]:
        """Return the statement with its parameters."""
        if shape not in self._compiled:
            if len(self._compiled) >= SQL_CACHED_MAX:
                self._compiled.clear()
            self._compiled[shape] = self._build(shape, self._stand_ins).query.sql_with_params()
        statement, parameters = self._compiled[shape]
        names = {stand_in: name for name, stand_in in self._stand_ins.items()}
        return statement, [
            type(parameter)(values[names[parameter]])
            if isinstance(parameter, int) and parameter in names
            else parameter
            for parameter in parameters
        ]
