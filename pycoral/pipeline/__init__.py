"""Running the segments of one model on several Edge TPUs at once."""
