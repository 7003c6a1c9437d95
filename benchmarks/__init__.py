"""Time one training step in Headgate and its peers, at equal work, in one run.

    python -m benchmarks                                   every installed peer, every workload
    python -m benchmarks --peers headgate,torch --workloads vae,lstm --rounds 9
    python -m benchmarks --peers compiled                  or eager: names of groups of peers
    python -m benchmarks --json figures.json --plot figures.png
    python -m benchmarks --markdown                        the tables of the README
    python -m benchmarks dispatch                          a call of hg.function beside jax.jit's
    python -m benchmarks gradient-cost                     value and gradient beside the value
    python -m benchmarks memory                            what Headgate keeps alive
    python -m benchmarks flow                              what explanations cost
    python -m benchmarks training                          whole training programs, per step
    python -m benchmarks results                           what the nine programs reach

How the figures are made comparable:

* `workloads` draws initial weights and one batch per workload from a fixed seed, once, and the
  driver sends the same arrays to every peer.
* Headgate and TensorFlow run the same text (`programs`): a function that takes the module `tf`.
  The other peers have a counterpart of equal shapes, dtype (float32) and update.
* Before anything is timed, every peer takes three steps. Their results must agree to 1e-4, and
  so must the weights they arrive at; a peer that disagrees is reported and not timed.
* Each peer lives in a process of its own, for thread pools of two libraries in one process
  disturb each other. All workers stay alive, have the same number of threads and the same cores;
  `--threads` is the number of both.
* The driver gives each worker a turn of a fraction of a second, round after round, each round
  beginning with another peer, so that a slow spell of the machine hits all of them. A short pause
  before each turn lets the thread pool of the worker before stop spinning. A turn's figure is
  the median step; a workload's figure is the median over rounds.
* A step ends when its results are there, so whatever runs ahead of Python is waited for.
* The first step, in which compilers compile, has a table of its own. Before it, the process has
  run a tiny workload, for what a library sets up once, and all that a compiler had kept is gone.
* The memory that a workload needs is read from the system as well; `peak` says what is in it.
* On a machine that others use as well, thread pools wait for a core at every barrier and the
  figures swing by tens of times; the report says so. `--threads 1` suffers least from that.
"""
