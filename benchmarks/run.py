"""`python benchmarks/run.py`: the suite, without its being installed anywhere. `--help` tells the rest."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.suite.command import main

if __name__ == "__main__":
    raise SystemExit(main())
