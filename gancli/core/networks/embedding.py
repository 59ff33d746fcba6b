"""Class embeddings."""

from torch import Tensor, nn

EMBEDDING_DIM = 16  # inputs of G for the class, in addition to z


class ClassEmbedding(nn.Module):
    """A learned vector for each class: labels int64 [N], or class weights float [N, n_classes] to blend -> [N, size].

    training/finetune.py relies on two rules: a network holds it in the attribute `embed`, and a layer that reads z and
    the class reads z first.
    """

    def __init__(self, n_classes: int, size: int, *, std: float = 1.0) -> None:
        super().__init__()
        self.table = nn.Embedding(n_classes, size)
        nn.init.normal_(self.table.weight, std=std)

    def forward(self, labels: Tensor) -> Tensor:
        if labels.is_floating_point():
            return labels @ self.table.weight
        vectors: Tensor = self.table(labels)
        return vectors
