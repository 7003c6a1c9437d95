"""An item for tests, which keeps any state."""


class Box:
    """An item that keeps any state; a state with the key "refused" is refused."""

    def __init__(self, state=None):
        self.state = state

    def get_state(self):
        return self.state

    def set_state(self, state):
        if isinstance(state, dict) and "refused" in state:
            raise state_error(state["refused"])
        self.state = state


def state_error(name):
    return {"ValueError": ValueError("not mine"), "KeyError": KeyError("weight")}[name]
