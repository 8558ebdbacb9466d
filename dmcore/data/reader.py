"""What reads a source format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

Reader = Callable[[Path, dict[str, str]], dict[str, np.ndarray]]
"""``reader(folder, pinned)``: train_x, test_x (N, C, H, W) and train_y, test_y (N,), all uint8; checks the hashes."""
