"""For every test: readable failures in the contract suites, and no deadline for a single Hypothesis example, since a
busy machine is no fault."""

import pytest
from hypothesis import settings

pytest.register_assert_rewrite("contracts")

settings.register_profile("postlog", deadline=None)
settings.load_profile("postlog")
