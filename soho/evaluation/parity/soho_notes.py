"""Files that explain the others."""
from soho.evaluation.parity.fixture import Fixture


def check_notes(fixture: Fixture) -> None:
    """``tolerances``: how far the reference itself moves from run to run; nothing of ours corresponds to it."""
    fixture.remark(*fixture.values)
