"""cmae-ablate: which of CMAE's changes to MAE earns its cost?

>>> import cmae_ablate as ca
>>> study = ca.load_study("decoder_size", settings={"training.epochs": 1}, seeds=2)
>>> result = study.run(out="runs", workers=2)
>>> result.effects, result.answer["text"]
"""

from typing import TYPE_CHECKING, Any

from cmae_ablate.errors import UserError

if TYPE_CHECKING:
    from cmae_ablate.cli.python import LoadedStudy, Result, list_components, load_result, load_study

__version__ = "0.2.0"
__all__ = [
    "LoadedStudy",
    "Result",
    "UserError",
    "list_components",
    "load_result",
    "load_study",
]

if not TYPE_CHECKING:  # type checkers read the imports above

    def __getattr__(name: str) -> Any:
        """What needs pandas and torch is imported when it is asked for."""
        if name not in __all__:
            raise AttributeError(f"module '{__name__}' has no attribute '{name}'")
        from cmae_ablate.cli import python

        return getattr(python, name)
