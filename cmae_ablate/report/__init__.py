"""From `trials.csv` to tables, figures and a page that a reviewer can check. Never imports torch."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cmae_ablate.report.across import combine
    from cmae_ablate.report.frame import ReportExtras, ReportFiles, StudyDescription
    from cmae_ablate.report.pooled_report import write_pooled
    from cmae_ablate.report.study_part import StudyPart
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
    "write_pooled",
    "write_report",
]

if not TYPE_CHECKING:  # type checkers read the imports above

    def __getattr__(name: str) -> Any:
        """Statistics and figures are imported when a report is written: the queue, too, reads this room."""
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from cmae_ablate.report import frame, trials

        for module in (frame, trials):
            if hasattr(module, name):
                return getattr(module, name)
        from cmae_ablate.report import across, pooled_report, write

        places = (across, write, pooled_report)
        return getattr(next(module for module in places if hasattr(module, name)), name)
