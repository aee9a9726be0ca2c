"""``python -m allgrad.server.cli``: the command line where its script is not on the PATH."""

import sys

from . import main

sys.exit(main())
