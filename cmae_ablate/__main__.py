"""`python -m cmae_ablate`."""

from cmae_ablate.cli import main

main()
