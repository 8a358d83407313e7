"""`python -m cmae_ablate`."""

from cmae_ablate.cli.app import main

if __name__ == "__main__":
    main()
