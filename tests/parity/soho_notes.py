"""Files that explain the others."""

from tests.parity.fixture import Fixture


def check_notes(fixture: Fixture) -> None:
    """``tolerances``: how far the reference moves from run to run; nothing to compare."""
    fixture.remark(*fixture.values)
