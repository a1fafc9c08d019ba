#!/usr/bin/env python
"""Which pixel convention does a function, or every installed library, obey, and how far is it off?

tools/audit.py --libraries
tools/audit.py my_project.transforms:resize --kind resize --fail-over 0.1
"""

from __future__ import annotations

import argparse
import sys

from d2align.audit.main import add_arguments, main

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    add_arguments(parser)
    try:
        sys.exit(main(parser.parse_args()))
    except ValueError as e:
        parser.error(str(e))
