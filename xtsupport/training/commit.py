"""Which commit of the hub an encoder's name stands for here; apart, as torch is slow to import."""

from functools import cache
from pathlib import Path


@cache
def hub_commit(name: str) -> str | None:
    """The commit of a hub encoder: the one in the cache, else the newest; None without network.

    What is in the cache stays until it is deleted or updated there, whatever happens on the hub;
    `load_encoder` reads the same commit.
    """
    from huggingface_hub import hf_hub_download, try_to_load_from_cache

    from xtsupport.data.hub import use_cache_without_network

    try:
        found = try_to_load_from_cache(name, "config.json")
        if not isinstance(found, str):
            use_cache_without_network()
            found = hf_hub_download(name, "config.json", etag_timeout=5)
    except (OSError, ValueError):  # no network, no such encoder, or no name at all
        return None
    return Path(found).parent.name
