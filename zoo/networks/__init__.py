"""The networks of the zoo, each the published architecture operator by operator.

A new network is a module here with a ``build`` function and an entry in :mod:`zoo.catalogue`.
"""
