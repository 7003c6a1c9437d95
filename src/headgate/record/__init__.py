"""What a computation leaves behind, and what can be read in it; knows neither tensors nor
variables."""
