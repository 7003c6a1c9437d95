"""The watcher of JAX programs; all but `watch` imports JAX."""
