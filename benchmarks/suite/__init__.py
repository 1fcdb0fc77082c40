"""The suite behind `benchmarks/run.py`: what is measured, how, and how it is shown."""
