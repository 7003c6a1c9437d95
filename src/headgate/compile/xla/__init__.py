"""The executor that is JAX's: programs, control flow, draws, and JAX's arrays in and out."""
