"""cmae-ablate: which of CMAE's changes to MAE earns its cost?"""

__version__ = "0.1.0"
