"""The watcher of TensorFlow and Keras programs; all but `watch` imports TensorFlow."""
