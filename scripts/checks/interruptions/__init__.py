"""The parts of the interruption storm: what interrupts, what it interrupts, and the counting."""
