"""`python -m plenary`: the same as the command `plenary`."""

from .cli import main

if __name__ == "__main__":
    main()
