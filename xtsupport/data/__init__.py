"""Tasks, languages and examples: tables, one loader for hub and mirrors, the generated world."""

__all__ = ["available", "fingerprint", "load", "rows"]


def __getattr__(name):
    if name in __all__:
        from xtsupport.data import hub

        return getattr(hub, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
