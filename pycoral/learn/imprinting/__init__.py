"""Training classes from a few pictures each, one embedding at a time."""
