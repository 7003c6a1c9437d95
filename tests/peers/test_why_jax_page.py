"""The page on JAX says what `headgate why` prints, and its cures are cures (`flow.why_page`)."""

import pytest

from flow.why_page import Page, checks_of

pytest.importorskip("optax")

pytestmark = pytest.mark.peers

PAGE = Page("why-jax.md")
globals().update(checks_of(PAGE))
