"""Programs for Coral users to begin with; ``edgetpu-examples`` lists and copies them.

They use what Coral documents and nothing of this project's own, and are files to be copied rather
than modules to be imported.
"""
