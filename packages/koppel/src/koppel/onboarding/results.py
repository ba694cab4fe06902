"""Results of saving a step of the wizard, the same for pages and REST."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from koppel.onboarding.models import Step


@dataclass(frozen=True, kw_only=True)
class FieldError:
    """An error in one answer."""

    code: str
    """A stable word."""
    message: str
    field: str = ""
    company_id: int | None = None
    """None: an error in the step as a whole."""


@dataclass(frozen=True)
class Advance:
    """The step is saved; the next one is `step`."""

    step: Step


@dataclass(frozen=True)
class InvalidStep:
    """The step has missing or invalid answers; the valid ones are kept."""

    step: Step
    errors: tuple[FieldError, ...]


@dataclass(frozen=True)
class ExternalStep:
    """The person continues in a browser at `path`, which leads to the vendor's own page."""

    path: str


@dataclass(frozen=True)
class Abandoned:
    """The flow is over and nothing was imported."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class Complete:
    """The import has begun."""

    import_id: int
    count: int
    skipped: int = 0
    """The number of companies that another person imported meanwhile."""
    context: Mapping[str, str] = field(default_factory=dict)


StepResult = Advance | InvalidStep | ExternalStep | Abandoned | Complete
