"""Names that models may have, wherever they are kept."""

from __future__ import annotations

import re
from typing import Final

MODEL_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")
