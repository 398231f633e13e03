"""Utterances without a target that a fold's training may hear: for models that read no labels."""

from __future__ import annotations

from collections.abc import Sequence

from data_modules.errors import ConfigError
from data_modules.manifest import Utterance
from data_modules.selection import Selection


def unlabelled_of_fold(
    selection: Selection, utterances: Sequence[Utterance], number: int
) -> list[Utterance]:
    """Utterances that labels or protocol leave out and that share nothing with what is scored.

    Args:
        selection: Of the experiment; its folds are made of labelled utterances alone.
        utterances: A manifest, in its order.
        number: Of the fold.

    Returns:
        Those that, in every field that the protocol keeps apart, have a value which neither the
        validation nor the test part has. One whose value is not known might be anyone's.

    Raises:
        ConfigError: The protocol keeps no speakers apart.
    """
    fields = selection.protocol.disjoint
    if "speaker" not in fields:
        raise ConfigError(
            f"data.protocol={selection.protocol.name}",
            expected="a protocol that keeps speakers apart, to tell whose other clips may be heard",
            got="none",
            fix="set model.pretrain.unlabelled=false, or choose another protocol",
        )
    fold = selection.fold(number)
    held_out = [selection.utterances[name] for name in (*fold.val, *fold.test)]
    taken = {field: {getattr(u, field) for u in held_out} | {None} for field in fields}
    return [
        utterance
        for utterance in utterances
        if utterance.id not in selection.utterances
        and all(getattr(utterance, field) not in taken[field] for field in fields)
    ]
