"""Where curves, configurations and pictures of every run go: MLflow, study > variant > seed."""

from cmae_ablate.tracking.backends import backend_of
from cmae_ablate.tracking.connection import load_mlflow, ui_command
from cmae_ablate.tracking.mlflow_tracker import MlflowTracker
from cmae_ablate.tracking.tracker import Backend, CellRun, Tracker

__all__ = ["Backend", "CellRun", "MlflowTracker", "Tracker", "backend_of", "load_mlflow", "ui_command"]
