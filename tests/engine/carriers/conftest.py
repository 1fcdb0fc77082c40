"""The contract's assertions tell what they compared."""

import pytest

pytest.register_assert_rewrite("tests.engine.carriers.contract", "tests.engine.carriers.line")
