"""A wheel brings its texts compiled and its static files collected: who installs it may write nothing beside
the code.
"""

import os
import subprocess
import sys
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

NEEDED = ("django", "allauth", "django_htmx", "whitenoise", "polib", "psycopg")


class BuildHook(BuildHookInterface[Any]):
    """Builds where the packages are there to do it, as in `make wheel`; else takes what has been built, if it
    is up to date.
    """

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if version == "editable":  # a source tree: `make` builds in it
            return
        source = Path(self.root) / "src"
        if all(find_spec(name) for name in NEEDED):
            environment = {**os.environ, "PYTHONPATH": str(source)}
            subprocess.run([sys.executable, "-m", "koppel.web.build"], env=environment, check=True)
        if not _built(source).is_built(compare_packages=False):
            sys.exit(
                "Texts and static files of this tree are not built; use `make wheel`, "
                "which has what that needs."
            )


def _built(source: Path) -> ModuleType:
    """Without the packages that `koppel` itself imports."""
    spec = spec_from_file_location("built", source / "koppel" / "web" / "build" / "built.py")
    if spec is None or spec.loader is None:
        sys.exit("This tree has no src/koppel/web/build/built.py.")
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
