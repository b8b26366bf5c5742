"""The parts of `benchmarks/soak.py`: what happens to files, killing, and what must hold after."""
