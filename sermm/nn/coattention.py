"""Co-attention: one vector of each modality reads all states of the other.

Siriwardhana et al. 2020 (arXiv 2008.06682). From their code: one layer, no feed-forward network and
no layer norm; the two results are joined and go to the head. In their released code the head reads
the vectors from before the attention, so that it has no effect; here it reads what the attention
gives.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from data_modules.errors import ConfigError
from sermm.nn.masking import clear_padding, length_mask


class CrossAttention(nn.Module):
    """A vector plus what it attends to: ``q + dropout(attention(q, states, states))``.

    Args:
        query_size: D of the vector, and of the result.
        key_size: E of the states.
        num_heads: Heads, which share D among them.
        dropout: On the weights of the attention, and on what it gives.

    Raises:
        ConfigError: The heads cannot share D.
    """

    def __init__(
        self, *, query_size: int, key_size: int, num_heads: int, dropout: float = 0.0
    ) -> None:
        super().__init__()
        if query_size % num_heads:
            raise ConfigError(
                "model.attention_heads",
                expected=f"a divisor of {query_size}, the width of an encoder",
                got=str(num_heads),
                fix="choose another number",
            )
        self.attention = nn.MultiheadAttention(
            query_size,
            num_heads,
            dropout=dropout,
            kdim=key_size,
            vdim=key_size,
            batch_first=True,
        )
        self.dropout = nn.Dropout(dropout)
        self.output_size = query_size

    def forward(self, query: Tensor, states: Tensor, lengths: Tensor) -> Tensor:
        """Attend.

        Args:
            query: ``(B, D)``.
            states: ``(B, L, E)``.
            lengths: ``(B,)``, at least 1.

        Returns:
            ``(B, D)``.
        """
        mask = length_mask(lengths, states.shape[1])
        states = clear_padding(states, mask)
        attended, _ = self.attention(
            query.unsqueeze(1), states, states, key_padding_mask=~mask, need_weights=False
        )
        result: Tensor = query + self.dropout(attended.squeeze(1))
        return result


class CoAttention(nn.Module):
    """Both directions at once: text reads speech, and speech reads text.

    Args:
        text: Width of the text's vector, and of its states.
        speech: The same of the speech.
        num_heads: Of each direction.
        dropout: Of each direction.

    Raises:
        ConfigError: The heads cannot share a width.
    """

    def __init__(
        self,
        *,
        text: tuple[int, int],
        speech: tuple[int, int],
        num_heads: int,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.text_to_speech = CrossAttention(
            query_size=text[0], key_size=speech[1], num_heads=num_heads, dropout=dropout
        )
        self.speech_to_text = CrossAttention(
            query_size=speech[0], key_size=text[1], num_heads=num_heads, dropout=dropout
        )
        self.output_size = text[0] + speech[0]

    def forward(
        self,
        read: Tensor,
        tokens: Tensor,
        token_lengths: Tensor,
        spoken: Tensor,
        frames: Tensor,
        frame_lengths: Tensor,
    ) -> Tensor:
        """Join what both read.

        Args:
            read: Vector of the text ``(B, R)``.
            tokens: ``(B, L, D)``, with ``token_lengths`` ``(B,)``.
            token_lengths: See ``tokens``.
            spoken: Vector of the speech ``(B, S)``.
            frames: ``(B, F, E)``, with ``frame_lengths`` ``(B,)``.
            frame_lengths: See ``frames``.

        Returns:
            ``(B, R + S)``.
        """
        text = self.text_to_speech(read, frames, frame_lengths)
        speech = self.speech_to_text(spoken, tokens, token_lengths)
        return torch.cat([text, speech], dim=-1)
