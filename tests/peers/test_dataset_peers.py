"""The pipelines of tests/train/test_dataset.py, by TensorFlow: the same elements in order."""

import numpy as np
import pytest
from tests.train.test_dataset import EXPECTED, PIPELINES

tf = pytest.importorskip("tensorflow")


@pytest.mark.parametrize("case", PIPELINES)
def test_tensorflow_gives_the_same(case):
    dataset = PIPELINES[case](tf.data.Dataset)
    found = [
        np.asarray(each).tolist() if not isinstance(each, tuple) else [int(part) for part in each]
        for each in dataset.as_numpy_iterator()
    ]
    assert found == EXPECTED[case]
