"""The transports under test, one module each; what one needs is imported in its trial only."""
