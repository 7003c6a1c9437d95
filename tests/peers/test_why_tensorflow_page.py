"""The page on TensorFlow says what `headgate why` prints, and its cures are cures.

A section of the page has a script, the report on it, and the lines to change (`flow.why_page`).
"""

import pytest

from flow.why_page import Page, checks_of

pytestmark = pytest.mark.tensorflow

PAGE = Page("why-tensorflow.md")
globals().update(checks_of(PAGE))
