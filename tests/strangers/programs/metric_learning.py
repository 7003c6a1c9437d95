"""Embeddings from triplets that a miner finds, then from proxies (pytorch-metric-learning)."""

import torch
from pytorch_metric_learning import distances, losses, miners, reducers, regularizers
from torch import nn


def network():
    return nn.Sequential(nn.Linear(10, 32), nn.ReLU(), nn.Linear(32, 8))


def batches(count):
    for _ in range(count):
        labels = torch.arange(32) % 4
        yield torch.randn(32, 10) + labels[:, None], labels


def with_triplets():
    trunk = network()
    optimizer = torch.optim.Adam(trunk.parameters(), lr=1e-2)
    distance = distances.CosineSimilarity()
    loss_func = losses.TripletMarginLoss(
        margin=0.2,
        distance=distance,
        reducer=reducers.ThresholdReducer(low=0),
        embedding_regularizer=regularizers.LpRegularizer(),
    )
    mining_func = miners.TripletMarginMiner(
        margin=0.2, distance=distance, type_of_triplets="semihard"
    )
    for data, labels in batches(5):
        optimizer.zero_grad()
        embeddings = trunk(data)
        indices_tuple = mining_func(embeddings, labels)
        loss = loss_func(embeddings, labels, indices_tuple)
        loss.backward()
        optimizer.step()
        print(f"triplets {loss.item()!r}, mined {mining_func.num_triplets}")
    return trunk


def with_proxies():
    trunk = network()
    loss_func = losses.SubCenterArcFaceLoss(num_classes=4, embedding_size=8, margin=28.6, scale=16)
    optimizer = torch.optim.Adam(trunk.parameters(), lr=1e-2)
    loss_optimizer = torch.optim.SGD(loss_func.parameters(), lr=1e-2)
    for data, labels in batches(5):
        optimizer.zero_grad()
        loss_optimizer.zero_grad()
        loss = loss_func(trunk(data), labels)
        loss.backward()
        optimizer.step()
        loss_optimizer.step()
        print(f"proxies {loss.item()!r}")
    print("proxies", repr(loss_func.W.detach().abs().sum().item()))
    return trunk


torch.manual_seed(9)
for trunk in (with_triplets(), with_proxies()):
    for name, parameter in trunk.named_parameters():
        print(name, repr(parameter.detach().abs().sum().item()))
