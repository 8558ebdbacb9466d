"""How much is tried: little by default, all by `make test-kills`."""

import os

import pytest

KILLS = int(os.environ.get("KILLS", "3"))
long = pytest.mark.skipif("KILLS" not in os.environ, reason="takes long: `make test-kills`")
