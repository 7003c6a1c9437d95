"""The watcher of PyTorch programs; all but `watch` imports PyTorch."""
