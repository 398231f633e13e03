"""``sermm cache``: what the feature cache holds, whether it is whole, and what may go."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import typer
from rich.table import Table

from data_modules.cache_care import Useless, check_stores, find_useless, list_stores, remove
from data_modules.errors import CacheError, ConfigError
from sermm.terminal import console, progress_bar, say


def list_cache(cache: Path) -> None:
    """Print every store."""
    stores = list_stores(cache)
    if not stores:
        say(f"no features in {cache}")
        return
    table = Table(title=f"features in {cache}", title_justify="left")
    table.add_column("store", no_wrap=True)
    table.add_column("upstream")
    for column in ("clips", "layers", "D", "MiB"):
        table.add_column(column, justify="right")
    table.add_column("")
    for store in stores:
        about = store.description
        table.add_row(
            store.folder.name,
            about.upstream if about else "?",
            f"{store.num_clips:,}",
            str(about.num_layers) if about else "?",
            str(about.dim) if about else "?",
            f"{store.num_bytes / 2**20:,.1f}",
            store.problem,
        )
    console.print(table)
    say(f"{sum(store.num_bytes for store in stores) / 2**20:,.1f} MiB in all")


def verify_cache(cache: Path) -> None:
    """Read every stored frame and compare it with its checksum.

    Raises:
        ConfigError: There is no such folder: nothing was verified.
        CacheError: Something is damaged; names the files.
    """
    if not cache.is_dir():
        raise ConfigError(
            "--cache",
            expected="a folder with features",
            got=f"{cache}, no folder",
            fix="correct it",
        )
    with progress_bar("reading features") as on_progress:
        result = check_stores(cache, on_progress=on_progress)
    if result.problems:
        for problem in result.problems:
            say(str(problem), style="red")
        raise DamagedCacheError(
            cache,
            expected="features as they were written",
            got=f"{len(result.problems)} damaged of {result.num_files} files: "
            + ", ".join(str(problem.where) for problem in result.problems[:3]),
            fix="run `sermm cache prune --yes`, then `sermm extract` computes them again",
        )
    say(f"{result.num_items:,} items in {result.num_files} files are as they were written")


class DamagedCacheError(CacheError):
    """Something in the cache differs from its checksum: a check that failed."""

    exit_status = 1


def prune_cache(cache: Path, stores: Sequence[str], *, accepted: bool) -> None:
    """Show what is of no use, and remove it once that is accepted.

    Raises:
        CacheError: A name is not that of a store.
    """
    useless = find_useless(cache, stores=stores)
    if not useless:
        say("nothing to remove")
        return
    table = Table(title=f"of no use in {cache}", title_justify="left")
    table.add_column("what", overflow="fold")
    table.add_column("why")
    table.add_column("MiB", justify="right")
    for item in useless:
        table.add_row(
            str(item.path.relative_to(cache)), item.reason, f"{item.num_bytes / 2**20:,.1f}"
        )
    console.print(table)
    if not accepted and not _agreed(useless):
        say("nothing was removed; add --yes to remove it")
        return
    say(f"removed {remove(useless) / 2**20:,.1f} MiB")


def _agreed(useless: Sequence[Useless]) -> bool:
    if not console.is_terminal:
        return False
    size = sum(item.num_bytes for item in useless) / 2**20
    return typer.confirm(f"remove {len(useless)} of these ({size:,.1f} MiB)?")
