"""Checks of what the search proves and says."""
