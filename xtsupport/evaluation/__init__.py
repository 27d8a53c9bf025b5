"""Predictions, retrieval and the official scores."""

__all__ = ["corpus_score", "score", "score_examples"]


def __getattr__(name):
    if name in __all__:
        from xtsupport.evaluation import scores

        return getattr(scores, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
