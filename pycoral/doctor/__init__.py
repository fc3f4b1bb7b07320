"""``edgetpu-doctor``: checks a machine for the use of Edge TPUs, and says what to do."""
