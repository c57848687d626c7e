"""Pictures and pages of what a model has learnt."""
