"""The names that users reach for: what the script that counts them says of names that are there."""

import pytest
from benchmarks import names

GROUPS = names.names()
COMPLETE = "the array api standard: tests of its suite"


def test_the_list_is_read():
    assert len(GROUPS) == 6
    assert sum(map(len, GROUPS.values())) > 250
    assert (65, "tf.data", False) in GROUPS["tensorflow: files of 144 public programs"]
    assert any(out for rows in GROUPS.values() for _, _, out in rows)


@pytest.mark.parametrize("name", [name for _, name, _ in GROUPS[COMPLETE]])
def test_names_of_the_standard_are_there(name):
    assert names.found(name)


def test_names_and_arguments_are_looked_up():
    assert names.found("tf.linalg.inv(adjoint=)")
    assert not names.found("tf.linalg.inv(nothing=)")
    assert not names.found("tf.nothing.at_all")
    assert names.found("hg.optim.Adam(weight_decay=)")


def test_the_table_has_a_line_for_each_group():
    lines = names.table().splitlines()
    assert [line.rpartition(":")[0] for line in lines] == [*GROUPS]
    assert f"{COMPLETE}: 15 of 15 names" in names.table()
