"""What runs inside a device's process, next to its chip, and the messages it exchanges with the host.

The control connection both sides speak, the main loop behind it, the programs it hosts, and how
errors and log records travel; who starts such a process is not known here.
"""
