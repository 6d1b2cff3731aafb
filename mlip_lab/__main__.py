"""`python -m mlip_lab`: the command `mlip-lab` where scripts are not on the path."""

import sys

from mlip_lab.cli import main

if __name__ == "__main__":
    sys.exit(main())
