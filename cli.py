"""`python cli.py …` from a checkout: the same command line that an installed Furrow offers as `furrow`."""

from furrow.cli import main

if __name__ == "__main__":
    main()
