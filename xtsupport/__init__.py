"""Measure how English intermediate-task training changes zero-shot cross-lingual transfer."""

import warnings

# tqdm says this in red, in every notebook, where ipywidgets is not installed: nothing here needs it
warnings.filterwarnings("ignore", message="IProgress not found")

__version__ = "0.1.0"
