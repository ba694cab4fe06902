"""The results of a step of the wizard, the same for pages and REST."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from koppel.onboarding.models import Step


@dataclass(frozen=True)
class FieldError:
    """What is wrong with one answer. `company_id` None: with the step as a whole. `code` is a stable word."""

    code: str
    message: str
    field: str = ""
    company_id: int | None = None


@dataclass(frozen=True)
class Advance:
    """On to `step`."""

    step: Step


@dataclass(frozen=True)
class ShowErrors:
    """Something is missing or wrong; what was right is kept."""

    step: Step
    errors: tuple[FieldError, ...]


@dataclass(frozen=True)
class ExternalStep:
    """The person continues in a browser at `path`, which leads to the vendor's own page."""

    path: str


@dataclass(frozen=True)
class Abort:
    """The flow is over and nothing was imported."""

    reason: str


@dataclass(frozen=True)
class Complete:
    """The import has begun. `skipped` were imported by another person meanwhile."""

    import_id: int
    count: int
    skipped: int = 0
    context: Mapping[str, str] = field(default_factory=dict)


StepResult = Advance | ShowErrors | ExternalStep | Abort | Complete
