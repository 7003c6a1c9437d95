# cause: none
# line: 0
# affected: -
# symptom: legit: in a late pass over the same data all ratios are clipped, so the policy gets zero
# expect: policy=1.651
# also: -
import numpy as np

import headgate as hg
from headgate import optim

rng = np.random.default_rng(0)
policy = hg.Variable(0.1 * rng.normal(size=(4, 2)), name="policy")
value = hg.Variable(0.1 * rng.normal(size=(4, 1)), name="value")
optimizer = optim.SGD(1.0)


def surrogate(log_prob, old, advantage, epsilon=0.2):
    ratio = hg.exp(log_prob - old)
    clipped = hg.clip(ratio, 1.0 - epsilon, 1.0 + epsilon)
    return -hg.mean(hg.minimum(ratio * advantage, clipped * advantage))


for _rollout in range(2):
    state = np.abs(rng.normal(size=(6, 4))) + 0.5
    action = np.zeros(6, int)
    old = hg.stop_gradient(hg.log_softmax(state @ policy))[:, 0]
    returns = np.full(6, 2.0)
    for _pass in range(4):
        with hg.GradientTape() as tape:
            log_prob = hg.take(hg.log_softmax(state @ policy), action[0], axis=1)
            guess = (state @ value)[:, 0]
            advantage = np.ones(6)
            loss = surrogate(log_prob, old, advantage) + 0.05 * hg.mean((guess - returns) ** 2)
        variables = [policy, value]
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables))
print(f"policy: {float(hg.norm(policy)):.3f}")
