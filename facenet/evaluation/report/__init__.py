"""Reports of studies: one page that works from disk, without network or scripts, and the figures beside it."""

from __future__ import annotations

from facenet.evaluation.report.comparison import comparison_files
from facenet.evaluation.report.single import report_files

__all__ = ["comparison_files", "report_files"]
