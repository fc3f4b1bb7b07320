"""Parts of fault_storm.py: random models, rounds with faults, and the processes that run them."""
