"""`python -m venice_billing` is the command `venice-billing`."""

import sys

from venice_billing.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
