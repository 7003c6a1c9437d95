"""The three programs of an article on `stop_gradient`, as written and corrected, on real data.

The article is "How does TensorFlow's `stop_gradient` function operate?". Its programs contain
mistakes that cost a gradient in silence, which is what Headgate makes visible. There is one program
per file, written with TensorFlow's names as in the article:

    article_scalar         a tape, two variables and a stop
    article_gan            a GAN, trained on scikit-learn's handwritten digits
    article_actor_critic   an actor-critic, trained on gymnasium's CartPole-v1

`headgate demo` runs all of them (`demo`) and draws pictures (`pictures`); each one also runs alone:
`python -m headgate.examples.article_gan`. What they found, they return as `findings`.
"""
