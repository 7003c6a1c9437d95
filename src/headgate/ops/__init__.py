"""The tables of ops: one row each, grouped by what they do."""
