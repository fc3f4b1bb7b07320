"""The best cut for known costs, exactly: along one order, through ideals, over unequal devices.

Pure functions over arrays; where the costs come from is not known here.
"""
