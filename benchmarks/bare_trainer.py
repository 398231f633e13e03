"""Lightning's trainer with nothing around the steps that are timed."""

from __future__ import annotations

from typing import Any

import lightning as L


def bare_trainer(**settings: Any) -> L.Trainer:
    """One process on the CPU, gradients clipped as in the recipes; no files, no bars."""
    return L.Trainer(
        accelerator="cpu",
        devices=1,
        gradient_clip_val=1.0,
        logger=False,
        deterministic=True,
        enable_checkpointing=False,
        enable_model_summary=False,
        enable_progress_bar=False,
        use_distributed_sampler=False,
        **settings,
    )
