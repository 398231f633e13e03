"""What ``sermm extract`` is asked for: everything here, one shard, or shards as jobs."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from data_modules.errors import ConfigError

if TYPE_CHECKING:
    from sermm.engines import Engine
    from sermm.extract_batches import Share


@dataclass(frozen=True)
class ExtractOptions:
    """Options of ``sermm extract``.

    Attributes:
        shard: ``i/N``: compute this share of the batches alone; what a job is started with.
        shards: Number of jobs.
        on: Where jobs run, see ``jobs.parse_engine``.
        on_options: Of the engine, ``key=value``.
    """

    shard: str | None = None
    shards: int | None = None
    on: str | None = None
    on_options: tuple[str, ...] = ()

    def check(self) -> Literal["here", "shard", "jobs"]:
        """What is asked for.

        Raises:
            ConfigError: The options do not go together, or one is wrong.
        """
        if self.shard is not None and (self.shards or self.on or self.on_options):
            raise ConfigError(
                "--shard",
                expected="no --shards, --on or --on-option beside it",
                got="one of them",
                fix="leave --shard to the jobs",
            )
        if (self.shards is None) != (self.on is None) or (self.on_options and not self.on):
            raise ConfigError(
                "--shards",
                expected="--shards and --on together",
                got="one without the other",
                fix="say both, such as --shards 4 --on local:2",
            )
        if self.shard is not None:
            self._parts()
            return "shard"
        if self.on is None:
            return "here"
        self.engine()
        return "jobs"

    def engine(self) -> Engine:
        """Where jobs run."""
        from sermm.engines import parse_engine

        return parse_engine(self.on or "", self.on_options)

    def share(self) -> Share:
        """Which part of the batches."""
        from sermm.extract_batches import Share

        index, count = self._parts()
        return Share(index - 1, count)

    def _parts(self) -> tuple[int, int]:
        matched = re.fullmatch(r"(\d+)/(\d+)", self.shard or "")
        if matched is None or not 1 <= int(matched[1]) <= int(matched[2]):
            raise ConfigError(
                "--shard",
                expected="i/N with i from 1 to N",
                got=repr(self.shard),
                fix="write it so, such as 1/4",
            )
        return int(matched[1]), int(matched[2])
