"""Who may change a study: the driver whose run is named in its lease file.

A trial of a driver that was killed may live on for a moment. It asks before every step whether its driver still has the
study, so that it does not write beside the trial that continues it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True)
class Lease:
    """One run of a driver."""

    path: str  # the study's lease file
    run: str  # unique

    def as_dict(self) -> dict[str, str]:
        """For a Tune config."""
        return asdict(self)

    def taken_over(self) -> bool:
        """Whether another driver has the study now. A file that cannot be read says nothing."""
        try:
            found: str = json.loads(Path(self.path).read_text(encoding="utf-8"))["run"]
        except (OSError, ValueError, KeyError, TypeError):
            return False
        return found != self.run
