"""Asking devices: compile a segment, run it until its median is known, compare with the uncut model."""
