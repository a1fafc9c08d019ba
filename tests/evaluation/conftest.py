import sys
from pathlib import Path

# Lets tests import the helper module beside them under every pytest import mode.
sys.path.insert(0, str(Path(__file__).parent))
