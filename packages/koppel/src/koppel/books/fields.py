from typing import Any

from django.db import models
from django.db.backends.base.base import BaseDatabaseWrapper


class Amount(models.DecimalField):  # type: ignore[type-arg]
    """PostgreSQL's `numeric` without a precision: keeps an amount exactly as the source wrote it."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**{"max_digits": 1000, "decimal_places": 100, **options})

    def db_type(self, connection: BaseDatabaseWrapper) -> str:
        return "numeric"

    def get_db_prep_value(self, value: Any, connection: BaseDatabaseWrapper, prepared: bool = False) -> Any:
        return self.to_python(value)
