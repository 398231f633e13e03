"""WavLM's attention through torch's fused kernel.

transformers computes it with weights that nobody reads, and passes two masks of different types,
which torch no longer wants. The gated relative position bias is that of section IV-A of WavLM
(Chen et al. 2022); the numbers are the same (a test compares both).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import scaled_dot_product_attention
from transformers.models.wavlm.modeling_wavlm import WavLMAttention


class FastWavLMAttention(WavLMAttention):
    """Same weights, same values. A bool mask over keys in place of one over positions."""

    def forward(  # type: ignore[override]
        self,
        hidden_states: Tensor,
        *,
        attention_mask: Tensor | None,
        position_bias: Tensor,
        **options: Any,
    ) -> tuple[Tensor, None, Tensor]:
        """Attend.

        Args:
            hidden_states: ``(B, F, D)``.
            attention_mask: ``(B, 1, 1, F)`` bool, True where a key is real; None if all are.
            position_bias: ``(1, H, F, F)``, shared by all layers.
            **options: Not read.
        """
        by_head = (*hidden_states.shape[:-1], self.num_heads, -1)
        heads = hidden_states.view(by_head).transpose(1, 2)  # (B, H, F, E)
        gates = self.gru_rel_pos_linear(heads)  # (B, H, F, 8)
        gates = gates.view(*gates.shape[:-1], 2, 4).sum(-1)
        update, reset = torch.sigmoid(gates).chunk(2, dim=-1)
        bias = (update * (reset * self.gru_rel_pos_const - 1.0) + 2.0) * position_bias
        if attention_mask is not None:
            bias = bias.masked_fill(~attention_mask, torch.finfo(bias.dtype).min)
        query, key, value = (
            projection(hidden_states).view(by_head).transpose(1, 2)
            for projection in (self.q_proj, self.k_proj, self.v_proj)
        )
        attended = scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=bias.to(query.dtype),
            dropout_p=self.dropout if self.training else 0.0,
        )
        return self.out_proj(attended.transpose(1, 2).flatten(2)), None, position_bias


def use_fast_attention(model: Any) -> None:
    """Give each layer of a WavLM this attention; names and values of weights stay."""
    for layer in model.encoder.layers:
        layer.attention.__class__ = FastWavLMAttention
