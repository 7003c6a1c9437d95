"""Programs that stop gradients, on real data: three of an article, and nine of the field.

The nine train with their stop or without it (`headgate train`): `gan`, `wgan_gp`, `vae`, `vq_vae`,
`simsiam`, `dqn`, `actor_critic`, `maml` and `ste`, one file each. What they share is in `training`
(the frame of a run), `train` (the command), `digits` and `cartpole` (data and judges).

The other three are those of an article, "How does TensorFlow's `stop_gradient` function operate?",
as written and corrected. They contain mistakes that cost a gradient in silence, which is what
Headgate makes visible, and are written with TensorFlow's names:

    article_scalar         a tape, two variables and a stop
    article_gan            a GAN, trained on scikit-learn's handwritten digits
    article_actor_critic   an actor-critic, trained on gymnasium's CartPole-v1

`headgate demo` runs these three (`demo`) and draws pictures (`pictures`). Every program runs alone:
`python -m headgate.examples.article_gan`. What they found, they return as `findings`.
"""
