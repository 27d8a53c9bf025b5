"""Where data come from: what a ``data`` setting names."""

from xtsupport.data.published_files import recognised
from xtsupport.errors import UserError
from xtsupport.tables import mirror


def data_source(data: str) -> str:
    """A ``data`` setting as ``load(data=...)`` takes it: ``hub``, ``world`` or an absolute folder.

    Folders are resolved against the project root, wherever the params file lies.
    Raises UserError when there is no such folder.
    """
    if data in ("hub", "world"):
        return data
    if data == "world-tiny":
        from xtsupport.data.world.generate import world_folder

        return str(world_folder(size="tiny"))
    folder = mirror(data, None).resolve()
    if next(folder.rglob("*.parquet"), None) is None and next(recognised(folder), None):
        raise UserError(
            f"{folder} holds files as published and no parquet; make a mirror from it with "
            f"`xtsupport data convert {data} NEW_FOLDER` and set `data: NEW_FOLDER`"
        )
    return str(folder)
