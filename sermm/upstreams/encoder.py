"""What the speech encoders of transformers have in common here: clips in, states of layers out.

An encoder of this kind runs the modules of a transformers model in their order, with lengths that
reach where they are needed. Nothing is kept between calls, so threads may share one.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence
from torch.utils.checkpoint import checkpoint

from sermm.nn.masking import clear_padding, length_mask


class FrameEncoder(nn.Module, ABC):
    """An encoder whose frames do not depend on the batch.

    A clip is prepared whole (level, spectrum), then cut into one piece or several, and pieces of
    different lengths are computed together.

    Attributes:
        dim: D, values in a frame.
        frame_stride: Samples from one frame to the next.
        first_center: Samples from the start of the clip to the centre of frame 0.
        min_samples: Shorter clips are filled up with zeros to this length.
        window_frames: Most frames that it can compute at once, None if there is no such limit.
        fills_window: Whether every piece is filled up to the window inside.
        num_transformer_layers: It has one state more.
        checkpointed: In training, states are computed again in the backward pass, not kept.
        front_frozen: What lies below the transformer layers is not trained, and no gradient is
            computed for it.
    """

    dim: int
    frame_stride: int
    first_center: float
    min_samples: int
    window_frames: int | None = None
    fills_window: bool = False
    num_transformer_layers: int
    checkpointed: bool = False
    front_frozen: bool = False

    @abstractmethod
    def num_frames(self, num_samples: int) -> int:
        """How many frames a clip gets."""

    @abstractmethod
    def prepare(self, clip: Tensor) -> Tensor:
        """A clip ``(N,)`` of at least one sample as pieces are cut from it, time first."""

    @abstractmethod
    def cut(self, prepared: Tensor, start: int, stop: int) -> Tensor:
        """The piece of a prepared clip that gives frames ``start`` to ``stop``."""

    @abstractmethod
    def forward(self, pieces: Sequence[Tensor], indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """States of some layers.

        Args:
            pieces: From :meth:`cut`, or whole prepared clips.
            indices: Which states, ascending; nothing above the last one is computed.

        Returns:
            ``(B, K, F, D)``, zero in the padding, and the lengths ``(B,)``.
        """

    @abstractmethod
    def keep_layers(self, num_layers: int) -> None:
        """Remove the transformer layers above the first few, and what follows the last one."""

    def transformer_layers(self) -> Sequence[nn.Module]:
        """Those that are left; convolutional encoders have none."""
        return ()

    @abstractmethod
    def front(self) -> nn.Module | None:
        """What :meth:`freeze_front` freezes; None if there are no such weights."""

    def freeze_front(self) -> None:
        """No gradient for the convolutions below the transformer, and none computed for them."""
        if (front := self.front()) is not None:
            front.requires_grad_(False)
        self.front_frozen = True

    def front_gradient(self) -> torch.set_grad_enabled:
        """Context in which the front end is computed."""
        return torch.set_grad_enabled(torch.is_grad_enabled() and not self.front_frozen)

    def run(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call it; with a checkpoint, if asked for and there are gradients."""
        if self.checkpointed and self.training and torch.is_grad_enabled():
            return checkpoint(function, *arguments, use_reentrant=False)
        return function(*arguments)

    def states(
        self,
        hidden: Tensor,
        lengths: Tensor,
        indices: Sequence[int],
        *,
        layers: Sequence[Callable[[Tensor], Tensor]],
        finish: Callable[[Tensor], Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Run the transformer layers as far as they are asked for.

        Args:
            hidden: State 0, ``(B, F, D)``.
            lengths: ``(B,)``.
            indices: As in :meth:`forward`.
            layers: The transformer layers.
            finish: From the last layer to the encoder's output.

        Returns:
            As :meth:`forward`.
        """
        found = []
        for index in range(max(indices) + 1):
            if index > 0:
                hidden = self.run(layers[index - 1], hidden)
            if index in indices:
                last = index == self.num_transformer_layers
                found.append(finish(hidden) if last else hidden)
        mask = length_mask(lengths, hidden.shape[1])
        states = torch.stack([clear_padding(state, mask) for state in found], dim=1)
        return states.float(), lengths  # half precision where torch.autocast says so


def pad_pieces(pieces: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Pieces ``(N, ...)`` as one tensor ``(B, N, ...)`` with zeros, and their lengths ``(B,)``."""
    lengths = torch.tensor([len(piece) for piece in pieces], device=pieces[0].device)
    return pad_sequence(list(pieces), batch_first=True), lengths


def frame_mask(lengths: Tensor, size: int) -> Tensor | None:
    """``(B, F)`` bool, True where real; None where there is no padding at all."""
    return None if int(lengths.min()) == size else length_mask(lengths, size)


def attention_mask(mask: Tensor | None) -> Tensor | None:
    """``(B, F)`` to ``(B, 1, 1, F)``: every query sees the real keys."""
    return None if mask is None else mask[:, None, None, :]
