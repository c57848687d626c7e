"""Foreign checkpoints, one layout a file; ``layouts.py`` says which file is of which."""
