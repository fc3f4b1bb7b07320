"""Helpers that put images into an interpreter and take results out of it."""
