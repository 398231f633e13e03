"""From acoustic frames and word pieces to states: the parts that every task is made of."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from data_modules.batch import Batch
from sermm.nn.augment import FrameAugment, TimeStretch
from sermm.nn.convolution import FrameConvolutions
from sermm.nn.masking import clear_padding, length_mask
from sermm.nn.recurrent import BiGRU
from sermm.nn.speech_input import SpeechInput, TrainedFrames
from sermm.nn.stacking import FrameStacking
from sermm.nn.transformer import FrameTransformer


class SpeechEncoder(nn.Module):
    """Frames of a batch through augmentation, projection, a lower rate and a network over time.

    Args:
        source: Where frames come from: the cache, or an upstream that is trained.
        stretch: Changes of the rate of training clips.
        augment: Other changes of training frames.
        projection: Of each frame; None passes them on.
        convolutions: What lowers the rate: halvings, possibly none, or stacking.
        recurrent: The network over the remaining frames; None passes them on.
        dropout: On what goes into it.
        frozen: No gradient, and evaluation mode (no dropout, no augmentation) in training too.
    """

    def __init__(
        self,
        *,
        source: SpeechInput,
        stretch: TimeStretch,
        augment: FrameAugment,
        projection: nn.Linear | None = None,
        convolutions: FrameConvolutions | FrameStacking,
        recurrent: BiGRU | FrameTransformer | None,
        dropout: float = 0.0,
        frozen: bool = False,
    ) -> None:
        super().__init__()
        self.source = source
        self.stretch = stretch
        self.augment = augment
        self.projection = projection
        self.convolutions = convolutions
        self.dropout = nn.Dropout(dropout)
        self.recurrent = recurrent
        self.output_size = convolutions.output_size if recurrent is None else recurrent.output_size
        self.frozen = frozen
        if frozen:
            self.requires_grad_(False)
            self.eval()

    def train(self, mode: bool = True) -> SpeechEncoder:
        """As ``nn.Module.train``, but a frozen encoder stays in evaluation."""
        super().train(mode and not self.frozen)
        return self

    def pretrained(self) -> dict[str, nn.Module]:
        """The upstream as ``speech``, where it is trained."""
        return {"speech": self.source.upstream} if isinstance(self.source, TrainedFrames) else {}

    def forward(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Encode.

        Returns:
            States ``(B, F', E)``, zero in the padding, and their lengths ``(B,)``.
        """
        frames, lengths = self.stretch(*self.source(batch))
        frames = self.augment(frames, lengths)
        if self.projection is not None:
            frames = self.projection(frames)
        frames, lengths = self.convolutions(frames, lengths)
        return self.contextualise(frames, lengths), lengths

    def contextualise(self, frames: Tensor, lengths: Tensor) -> Tensor:
        """The network over time on what is left, ``(B, F', E)``, zero in the padding."""
        if self.recurrent is not None:
            frames = self.recurrent(self.dropout(frames), lengths)
        return clear_padding(frames, length_mask(lengths, frames.shape[1]))


@dataclass(frozen=True)
class MaskToken:
    """How word dropout hides a piece: this id, at this rate, in training only."""

    token_id: int
    rate: float


class TextEncoder(nn.Module):
    """Word pieces through an encoder of the BERT family.

    Args:
        model: A transformers encoder; its ``last_hidden_state`` is used.
        mask_token: Word dropout; None switches it off.
        frozen: No gradient, and evaluation mode (no dropout) in training too.
    """

    def __init__(
        self, *, model: nn.Module, mask_token: MaskToken | None = None, frozen: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.mask_token = mask_token
        self.frozen = frozen
        self.output_size = int(model.config.hidden_size)  # type: ignore[union-attr, arg-type]
        if frozen:
            model.requires_grad_(False)
        # transformers loads models in evaluation mode, and Lightning keeps the mode it finds: a
        # pretrained encoder would be fine-tuned without its dropout
        self.train()

    def train(self, mode: bool = True) -> TextEncoder:
        """As ``nn.Module.train``, but a frozen encoder stays in evaluation."""
        super().train(mode)
        if self.frozen:
            self.model.eval()
        return self

    def forward(self, input_ids: Tensor, lengths: Tensor, word_mask: Tensor) -> Tensor:
        """Encode.

        Args:
            input_ids: ``(B, L)`` int64.
            lengths: ``(B,)`` int64.
            word_mask: ``(B, L)`` bool; only pieces of words can be dropped.

        Returns:
            ``(B, L, D)``, zero in the padding.
        """
        mask = length_mask(lengths, input_ids.shape[1])
        if self.training and self.mask_token is not None:
            hidden = torch.rand(input_ids.shape, device=input_ids.device) < self.mask_token.rate
            input_ids = input_ids.masked_fill(hidden & word_mask, self.mask_token.token_id)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            output = self.model(input_ids=input_ids, attention_mask=mask.long())
        states: Tensor = output.last_hidden_state
        return clear_padding(states, mask)


class ClassificationHead(nn.Module):
    """One hidden layer and a linear layer to class scores, ``(B, D)`` to ``(B, C)``.

    Args:
        input_size: D.
        hidden_size: Width of the hidden layer; 0 makes the head linear.
        num_classes: C.
        dropout: Before each linear layer.
        pairs: Two scores for each class, of its presence and its absence; their difference is
            given, of which a sigmoid is the softmax over the pair.
    """

    def __init__(
        self,
        *,
        input_size: int,
        hidden_size: int,
        num_classes: int,
        dropout: float = 0.0,
        pairs: bool = False,
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Dropout(dropout)]
        if hidden_size:
            layers += [nn.Linear(input_size, hidden_size), nn.GELU(), nn.Dropout(dropout)]
        self.pairs = pairs
        last = nn.Linear(hidden_size or input_size, num_classes * (2 if pairs else 1))
        self.layers = nn.Sequential(*layers, last)

    @property
    def last(self) -> nn.Linear:
        """The layer that gives the scores."""
        layer = self.layers[-1]
        assert isinstance(layer, nn.Linear)
        return layer

    def forward(self, values: Tensor) -> Tensor:
        """Score."""
        scores: Tensor = self.layers(values)
        if not self.pairs:
            return scores
        present, absent = scores.chunk(2, dim=-1)
        return present - absent
