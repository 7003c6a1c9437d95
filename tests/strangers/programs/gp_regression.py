"""Regression with an exact Gaussian process, its hyper-parameters learnt (gpytorch)."""

import math

import gpytorch
import torch


class ExactGPModel(gpytorch.models.ExactGP):
    def __init__(self, train_x, train_y, likelihood):
        super().__init__(train_x, train_y, likelihood)
        self.mean_module = gpytorch.means.ConstantMean()
        self.covar_module = gpytorch.kernels.ScaleKernel(
            gpytorch.kernels.RBFKernel(lengthscale_prior=gpytorch.priors.GammaPrior(3.0, 6.0))
        )

    def forward(self, x):
        return gpytorch.distributions.MultivariateNormal(self.mean_module(x), self.covar_module(x))


torch.manual_seed(10)
train_x = torch.linspace(0, 1, 30)
train_y = torch.sin(train_x * (2 * math.pi)) + torch.randn(train_x.size()) * math.sqrt(0.04)
likelihood = gpytorch.likelihoods.GaussianLikelihood()
model = ExactGPModel(train_x, train_y, likelihood)

model.train()
likelihood.train()
optimizer = torch.optim.Adam(model.parameters(), lr=0.1)  # includes those of the likelihood
mll = gpytorch.mlls.ExactMarginalLogLikelihood(likelihood, model)
for step in range(8):
    optimizer.zero_grad()
    output = model(train_x)
    loss = -mll(output, train_y)
    loss.backward()
    lengthscale = model.covar_module.base_kernel.lengthscale.item()
    print(f"{step}: loss {loss.item()!r} lengthscale {lengthscale:.3f}")
    optimizer.step()

model.eval()
likelihood.eval()
with torch.no_grad(), gpytorch.settings.fast_pred_var():
    prediction = likelihood(model(torch.linspace(0, 1, 11)))
    lower, upper = prediction.confidence_region()
print("mean", repr(prediction.mean.sum().item()), "width", repr((upper - lower).sum().item()))
for name, parameter in model.named_parameters():
    print(name, repr(parameter.item()))
