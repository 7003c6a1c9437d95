"""The same program, compiled: functions, their signatures, control flow."""
