"""Tensors, rows of ops, variables, the tape and the walk."""
