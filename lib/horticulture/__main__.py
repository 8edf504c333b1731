"""`python -m horticulture`: the command, for when its script is not on the path."""

import sys

from horticulture.cli import main

if __name__ == "__main__":
    sys.exit(main())
