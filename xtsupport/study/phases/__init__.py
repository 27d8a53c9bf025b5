"""What each phase does: training, evaluation, sentence retrieval."""
