"""Watchers: each reads the programs of one framework into a trace."""
