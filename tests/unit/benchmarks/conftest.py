"""The benchmarks stand beside `src`, as `make bench` runs them: from the repository's root."""

import sys
from pathlib import Path

_ROOT = str(Path(__file__).parents[3])
if _ROOT not in sys.path:
    sys.path.append(_ROOT)
