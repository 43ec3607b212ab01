"""``python -m identkit``."""

import sys

from identkit.cli import main

sys.exit(main())
