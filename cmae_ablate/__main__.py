"""`python -m cmae_ablate`."""

from cmae_ablate.cli.app import main

main()
