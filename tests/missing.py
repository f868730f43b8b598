"""For tests that need a server or a program that this machine does not have."""

import os
from typing import NoReturn

import pytest


def skip_or_fail(missing: str, *, optional: bool = False) -> NoReturn:
    """Skips the test. In CI, which installs everything that is not `optional`, the test fails."""
    if os.environ.get("CI") and not optional:
        pytest.fail(missing, pytrace=False)
    pytest.skip(missing)
