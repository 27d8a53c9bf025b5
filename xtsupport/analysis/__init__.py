"""The cube of per-example scores and everything that is concluded from it."""

from importlib import import_module

_WHERE = {
    "results": ("read_cube", "build_cube", "score_table"),
    "cube": ("validate_cube",),
    "significance": ("compare", "write_significance"),
    "sensitivity": ("other_methods",),
    "headline": ("heterogeneity", "on_scales"),
    "power": ("power_table",),
    "claims": ("check_claims", "beside_published"),
    "selection": ("best_intermediate",),
    "distance": ("distance_slope",),
    "selftest": ("self_test",),
    "wording": ("sentence",),
}


def __getattr__(name):
    for module, names in _WHERE.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
