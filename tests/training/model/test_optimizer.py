import copy

import torch
from torch import nn

from training.model.optimizer import MuonWithAdamW


class Layer(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(6, 6)


class Model(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Linear(4, 6)
        self.layers = nn.ModuleList([Layer(), Layer()])
        self.head = nn.Linear(6, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.embedding(x)
        for layer in self.layers:
            x = x + torch.tanh(layer.linear(x))
        return self.head(x)


class Wrapped(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.network = Model()


def steps(model: Wrapped, optimizer: torch.optim.Optimizer, count: int) -> list[float]:
    generator, losses = torch.Generator().manual_seed(1), []
    for _ in range(count):
        x = torch.randn(64, 4, generator=generator)
        loss = nn.functional.cross_entropy(model.network(x), (x[:, 0] * x[:, 1] > 0).long())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_it_learns() -> None:
    model = Wrapped()
    losses = steps(model, MuonWithAdamW(model, 0.02, 0.01), 200)
    assert sum(losses[-20:]) < 0.6 * sum(losses[:20])


def test_every_weight_belongs_to_one_part_and_layers_matrices_to_muon() -> None:
    model = Wrapped()
    optimizer = MuonWithAdamW(model, 0.02, 0.01)
    groups = [{id(p) for p in group["params"]} for group in optimizer.param_groups]
    assert groups[0] == {id(layer.linear.weight) for layer in model.network.layers}
    assert groups[0] | groups[1] == {id(p) for p in model.parameters()}
    assert not groups[0] & groups[1]


def test_a_scheduler_sets_the_rate_of_both_parts() -> None:
    model = Wrapped()
    optimizer = MuonWithAdamW(model, 0.02, 0.0)
    scheduler = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda _: 0.0)
    before = copy.deepcopy(model.state_dict())
    steps(model, optimizer, 3)
    assert scheduler.get_last_lr() == [0.0, 0.0]
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())


def test_a_state_is_taken_up_again() -> None:
    straight, broken = Wrapped(), Wrapped()
    steps(straight, MuonWithAdamW(straight, 0.02, 0.01), 5)
    first = MuonWithAdamW(broken, 0.02, 0.01)
    steps(broken, first, 5)
    again = MuonWithAdamW(broken, 0.02, 0.01)
    again.load_state_dict(copy.deepcopy(first.state_dict()))
    other = MuonWithAdamW(straight, 0.02, 0.01)
    other.load_state_dict(copy.deepcopy(first.state_dict()))
    steps(broken, again, 5)
    steps(straight, other, 5)
    for name, value in straight.state_dict().items():
        assert torch.equal(value, broken.state_dict()[name]), name
