"""Bad news about a study's files that is no bug."""

from __future__ import annotations


class ReportError(Exception):
    """A study's folder that no report can be made from: one line that says which file, and what to do."""
