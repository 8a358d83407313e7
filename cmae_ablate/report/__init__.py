"""From `trials.csv` to tables, figures and a page that a reviewer can check. Never imports torch."""

from cmae_ablate.report.across import StudyPart, combine
from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
from cmae_ablate.report.trials import read_controls, read_controls_beside, read_trials
from cmae_ablate.report.write import write_report

__all__ = [
    "ReportExtras",
    "ReportFiles",
    "StudyDescription",
    "StudyPart",
    "combine",
    "read_controls",
    "read_controls_beside",
    "read_trials",
    "write_report",
]
