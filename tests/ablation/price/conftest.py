import sys
from pathlib import Path

# The synthetic COCO problems of the evaluation's tests, and the helpers beside these.
TESTS = Path(__file__).parents[2]
sys.path[:0] = [str(TESTS / "evaluation"), str(Path(__file__).parent)]
