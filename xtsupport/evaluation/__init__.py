"""Predictions, retrieval and the official scores."""
