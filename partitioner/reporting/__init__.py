"""What a user is told: tables, JSON, a page with charts and the graph, progress while waiting.

A new report is a module here that takes the plain data of ``report`` or ``sweep_report``.
"""
