"""What the verbs on data do."""

from pathlib import Path

from xtsupport import folders
from xtsupport.errors import UserError, together
from xtsupport.files import plain_disk_errors
from xtsupport.study.verbs import DEMO, PART, argument, existing, settings_and_part, verb


@verb("data check", f"xtsupport data check {DEMO}", *PART)
def data_check(args) -> None:
    """Check that all of a study's data are there and sound."""
    from xtsupport.study.data_check import check

    table = check(*settings_and_part(args))
    shown = table.drop(columns="note").astype(object)  # whole numbers beside "-"
    print(shown.where(shown.notna(), "-").to_string(index=False))
    for row in table[(table["status"] == "present") & (table["note"] != "")].itertuples():
        print(f"{row.task} {row.language} {row.split}: {row.note}")
    if away := sum(table["status"] == "hub"):
        print(f"{away} splits are on the hub only; to check their rows, first fetch them with "
              f"`xtsupport data get {args.file}`")  # fmt: skip
    lacking = table.loc[table["status"].isin(["missing", "wrong"]), "note"]
    if len(lacking) or table.attrs["away"]:
        raise together([*table.attrs["away"], *map(UserError, lacking)])


@verb(
    "data get",
    "xtsupport data get params/base.yaml --to my_mirror",
    *PART,
    argument("--to", "DIR", "make a mirror in this folder (default: fill the hub's cache only)"),
)
def data_get(args) -> None:
    """Fetch everything that a study needs from the hub."""
    from xtsupport.study import fetching

    to = folders.typed(args.to, Path()) if args.to else None
    settings, part = settings_and_part(args)
    with plain_disk_errors(to or folders.root()):
        for line in fetching.get(settings, to, part):
            print(line, flush=True)


@verb(
    "data convert",
    "xtsupport data convert download my_mirror",
    argument("source", "XTREME_DOWNLOAD", "the folder with the published files"),
    argument("out", "OUT", "the mirror folder to create or extend"),
)
def data_convert(args) -> None:
    """Make a mirror from XTREME's download folder or published files."""
    from xtsupport.data.convert import convert

    out = folders.typed(args.out, Path())
    with plain_disk_errors(out):
        for line in convert(existing(args.source), out):
            print(line, flush=True)


@verb(
    "data fertility",
    "xtsupport data fertility offline-e5 --data world",
    argument("encoder", "ENCODER", "offline-e5, a hub id or a folder"),
    argument("--data", text="hub, world, or a mirror folder (default: hub)", default="hub"),
    argument("--languages", "CODE", "default: all in languages.csv", nargs="+"),
)
def fertility(args) -> None:
    """Show how finely an encoder's tokenizer splits each language."""
    from xtsupport.data.data_source import data_source
    from xtsupport.data.fertility import fertility as measured
    from xtsupport.training.encoder import load_encoder

    _, tokenizer = load_encoder(args.encoder)
    table = measured(tokenizer, data_source(args.data), args.languages)
    print(table.round(2).to_string(index=False, na_rep="-"))


@verb("world", "xtsupport world")
def world(args) -> None:
    """Generate the invented languages and print where they are."""
    from xtsupport.data.world.generate import world_folder

    print(world_folder())
