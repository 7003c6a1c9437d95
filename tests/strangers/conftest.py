"""What stands beside the tests is run by them, in processes of its own, never imported."""

collect_ignore = ["programs", "plants", "site"]
