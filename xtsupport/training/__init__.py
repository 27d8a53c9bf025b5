"""Encoders, heads, batches and the training loop."""
