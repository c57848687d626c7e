"""What is wrong with a config. Imports nothing that takes long."""

from soho.errors import UserError


class ConfigError(UserError):
    """A config that cannot be what was meant.

    Args:
        message: The sentence.
        key: Dotted key of what is wrong, where it is known.
    """

    def __init__(self, message: str, key: str = '') -> None:
        super().__init__(message)
        self.key = key
