"""What can be wrong with a checkpoint."""

from soho.errors import UserError


class CheckpointError(UserError):
    """A file that cannot be used as a checkpoint here; the message says why."""


class MissingCheckpointError(CheckpointError, FileNotFoundError):
    """There is no such file; a person gave its name, so that this is no failure of the system."""


class SettingsMismatchError(CheckpointError):
    """A sound checkpoint of a run with other settings than the config's, which the state in it does not bear."""
