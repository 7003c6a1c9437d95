"""The programs here are run one by one (tests/flow/corpus.py), never imported."""

collect_ignore_glob = ["h[0-9]*.py", "ok[0-9]*.py", "*/*.py"]
