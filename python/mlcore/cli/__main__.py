"""`python -m mlcore.cli`: the command line without an installed script."""

from __future__ import annotations

import sys

from mlcore.cli import main

sys.exit(main())
