"""The pytest plugin: a failed flow assertion shows what is known of every source it named.

pytest loads this module at its start, for every test of every project, so nothing is imported here.
A test can only have raised a `FlowError` if the module that defines it has been imported by then.
"""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pytest


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(call: Any) -> Generator[None, Any, Any]:
    """Add the section "gradient flow" to the report of a test that failed with a `FlowError`."""
    report = yield
    expect = sys.modules.get("headgate.testing.flow")
    if expect and call.excinfo and isinstance(call.excinfo.value, expect.FlowError):
        report.sections.append(("gradient flow", call.excinfo.value.report))
    return report
