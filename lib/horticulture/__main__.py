"""`python -m horticulture` is the command too, where no script of that name is on the path."""

import sys

from horticulture.cli import main

if __name__ == "__main__":
    sys.exit(main())
