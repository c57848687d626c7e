"""Checkpoints: read without running code, laid over a model with a report, converted between layouts."""
