"""The generator: superclass and budget in, logits of all binary gates out (EAS, Figure 2b)."""

from __future__ import annotations

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from eas_sdk.selector.generator import HEADS
from eas_sdk.space.elastic.space import ElasticSpace


class ArchitectureGenerator(nn.Module):
    """An LSTM over the block slots with a fully connected head each for depth, kernel, expansion and input size.

    Args:
        superclasses: how many have an embedding; with one, all share it.
        budgets: [K] multiply-adds, ascending, evenly spaced over [B_L, B_H]: each has an embedding.
        embedding: length of either embedding (32 in the paper).
        hidden: state of the LSTM.
        encoding: what is put out: a logit for each nested gate ("single-path"), or for each option ("multi-path").
    """

    budgets: Tensor

    def __init__(
        self,
        space: ElasticSpace,
        superclasses: int,
        budgets: Tensor,
        embedding: int = 32,
        hidden: int = 64,
        encoding: Literal["single-path", "multi-path"] = "single-path",
    ) -> None:
        super().__init__()
        self.layout = layout = space.layout
        self.encoding = encoding
        self.register_buffer("budgets", budgets.double())
        self.superclass_embedding = nn.Embedding(superclasses, embedding)
        self.budget_embedding = nn.Embedding(len(budgets), embedding)
        self.lstm = nn.LSTM(2 * embedding, hidden, batch_first=True)
        more = encoding == "multi-path"
        self.depth, self.kernel, self.expansion, self.size = (_head(hidden, w + more) for w in layout.widths)

    def forward(self, superclasses: Tensor, madds: Tensor) -> Tensor:
        """Logits z of the gates (before the sigmoid of Eq. 8), or of the options (before a softmax).

        Args:
            superclasses: [M] int64.
            madds: [M] budgets in multiply-adds.

        Returns:
            [M, gates], laid out as `eas_sdk.space.elastic.gates` says; or [M, choices, most options of one], where
            those beyond a choice's own mean nothing.
        """
        shared = self.superclass_embedding.num_embeddings == 1
        known = self.superclass_embedding(torch.zeros_like(superclasses) if shared else superclasses)
        x = torch.cat([known, self._interpolated(madds)], 1)
        layout = self.layout
        steps, _ = self.lstm(x.unsqueeze(1).expand(-1, layout.steps, -1))
        sorts = steps[:, torch.from_numpy(layout.step_of)].split([layout.units, layout.slots, layout.slots, 1], 1)
        heads = (self.depth, self.kernel, self.expansion, self.size)
        made = [head(part) for head, part in zip(heads, sorts, strict=True)]
        most = max(part.shape[2] for part in made)
        logits = torch.cat([F.pad(part, (0, most - part.shape[2])) for part in made], 1)
        if self.encoding == "multi-path":
            return logits
        return logits[:, torch.from_numpy(layout.choice_of), torch.from_numpy(layout.rank_of)]

    def _interpolated(self, madds: Tensor) -> Tensor:
        """Linear interpolation between the embeddings of the two nearest budgets (Guo et al. 2021)."""
        budgets = self.budgets
        clamped = madds.double().clamp(budgets[0], budgets[-1])
        high = torch.searchsorted(budgets, clamped).clamp(1, len(budgets) - 1)
        t = (clamped - budgets[high - 1]) / (budgets[high] - budgets[high - 1])
        return torch.lerp(self.budget_embedding(high - 1), self.budget_embedding(high), t.float().unsqueeze(1))

    def export(self, superclasses: int) -> dict[str, Tensor]:
        """Weights by the names that the runtime reads (`eas_sdk.selector.generator`), for so many superclasses."""
        made: dict[str, Tensor] = {
            "superclass_embedding": self.superclass_embedding.weight.expand(superclasses, -1),
            "budget_embedding": self.budget_embedding.weight,
            "lstm.input": self.lstm.get_parameter("weight_ih_l0"),
            "lstm.hidden": self.lstm.get_parameter("weight_hh_l0"),
            "lstm.bias": self.lstm.get_parameter("bias_ih_l0") + self.lstm.get_parameter("bias_hh_l0"),
        }
        for name in HEADS:
            head = getattr(self, name)
            made |= {f"{name}.weight": head.weight, f"{name}.bias": head.bias}
        return {name: tensor.detach().float().cpu().contiguous() for name, tensor in made.items()}


def _head(inputs: int, outputs: int) -> nn.Linear:
    """A fully connected layer. Of no outputs, where no choice of a sort is left, torch would warn of it."""
    head = nn.Linear(inputs, max(outputs, 1))
    if not outputs:
        head.out_features = 0
        head.weight, head.bias = nn.Parameter(head.weight[:0].detach()), nn.Parameter(head.bias[:0].detach())
    return head
