"""The parts of ``bench_transport.py``: transports under one interface, timed alike.

::

    bench_transport   options, the table
      └─ rounds       for every round, for every transport: one trial; looks for leftovers
           └─ trial   a process of its own: for every size, for every mode: drive a pipeline
                ├─ transports   the pipelines by name, loaded only in their own trial
                ├─ drive        host side: send, receive, time stamps
                └─ summary      time stamps -> microseconds
"""
