"""What a hostile checkpoint would run. Nothing may ever import it while a file is read."""

RUNS: list[str] = []


def run(*arguments: object) -> str:
    """Leave a trace."""
    RUNS.append(repr(arguments))
    return "ran"
