"""A network for the digits; its text is also the code that lies beside weights."""

import torch


class Digits(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.hidden = torch.nn.Linear(64, 32)
        self.out = torch.nn.Linear(32, 10)
        self.dropout = torch.nn.Dropout(0.5)

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.out(self.dropout(torch.relu(self.hidden(pixels)))), dim=1)
