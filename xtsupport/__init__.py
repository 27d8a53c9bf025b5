"""Measure how English intermediate-task training changes zero-shot cross-lingual transfer."""

__version__ = "0.1.0"
