# cause: wrong_variable
# line: 99
# affected: target.q_in.kernel target.q_in.bias target.q_out.kernel target.q_out.bias
# symptom: wrong update
# expect: q.q_in.kernel=still q.q_in.bias=still q.q_out.kernel=still q.q_out.bias=still
# also: 98
"""A double DQN with a target network on a short corridor, with replay and annealed exploration."""

import random
from collections import deque

import keras
import numpy as np
import tensorflow as tf

CORRIDOR, HORIZON = 6, 10


class Corridor:
    """Walk to the right end; the left end gives a little."""

    def __init__(self, seed):
        self.draw = random.Random(seed)
        self.reset()

    def reset(self):
        self.place, self.time = self.draw.randrange(CORRIDOR), 0
        return self.observed()

    def observed(self):
        seen = np.zeros(CORRIDOR, "float32")
        seen[self.place] = 1.0
        return seen

    def step(self, action):
        slips = self.draw.random() < 0.1
        move = 1 if (action == 1) != slips else -1
        self.place = min(max(self.place + move, 0), CORRIDOR - 1)
        self.time += 1
        reward = 1.0 if self.place == CORRIDOR - 1 else 0.1 if self.place == 0 else 0.0
        done = self.time >= HORIZON
        return self.observed(), reward, done


class Replay:
    def __init__(self, size, seed):
        self.entries, self.draw = deque(maxlen=size), random.Random(seed)

    def add(self, *entry):
        self.entries.append(entry)

    def sample(self, count):
        columns = zip(*self.draw.sample(list(self.entries), count))
        kinds = ("float32", "int32", "float32", "float32", "float32")
        return [tf.constant(np.array(c), kind) for c, kind in zip(columns, kinds)]

    def __len__(self):
        return len(self.entries)


def network(name):
    return keras.Sequential(
        [
            keras.Input((CORRIDOR,)),
            keras.layers.Dense(24, activation="relu", name="q_in"),
            keras.layers.Dense(2, name="q_out"),
        ],
        name=name,
    )


class Agent:
    def __init__(self, rate=5e-3, discount=0.9):
        self.q, self.target = network("q"), network("target")
        self.target.set_weights(self.q.get_weights())
        self.target.trainable = False
        self.online, self.slow = self.q.weights, self.target.weights
        self.optimizer = keras.optimizers.Adam(rate, clipnorm=10.0)
        self.loss = keras.losses.Huber()
        self.discount = discount

    def act(self, state, explore):
        if random.random() < explore:
            return random.randrange(2)
        return int(tf.argmax(self.q(state[None]), axis=1)[0])

    def goals(self, reward, following, done):
        best = tf.argmax(self.q(following), axis=1)
        value = tf.gather(self.target(following), best, batch_dims=1)
        return reward + self.discount * (1.0 - done) * value

    @tf.function
    def learn(self, state, action, reward, following, done):
        goal = self.goals(reward, following, done)
        with tf.GradientTape() as tape:
            chosen = tf.gather(self.q(state), action, batch_dims=1)
            loss = self.loss(goal, chosen)
        gradients = tape.gradient(loss, self.online)
        self.optimizer.apply_gradients(zip(gradients, self.slow))
        return loss

    def synchronise(self, share=0.2):
        for slow, fast in zip(self.slow, self.online):
            slow.assign(share * fast + (1.0 - share) * slow)


def train(agent, episodes, batch=16):
    world, replay, losses, returns = Corridor(4), Replay(200, 5), [], []
    for episode in range(episodes):
        state, done, total = world.reset(), False, 0.0
        explore = max(0.1, 1.0 - episode / episodes)
        while not done:
            action = agent.act(state, explore)
            following, reward, done = world.step(action)
            replay.add(state, action, reward, following, float(done))
            state, total = following, total + reward
            if len(replay) >= batch and len(replay) % 4 == 0:
                losses.append(float(agent.learn(*replay.sample(batch))))
        agent.synchronise()
        returns.append(total)
    return losses, returns


def main():
    keras.utils.set_random_seed(104)
    agent = Agent()
    start = [v.numpy() for v in agent.online]
    losses, returns = train(agent, episodes=6)
    assert len(returns) == 6
    assert np.isfinite(losses).all()
    for v, before in zip(agent.online, start):
        name = v.path.replace("/", ".")
        print(f"{name}: {'still' if np.array_equal(v, before) else 'learns'}")


if __name__ == "__main__":
    main()
