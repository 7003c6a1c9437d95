"""Flow: where gradient goes in a program, where it ends, and why."""
