"""Programs of two frameworks: where a value leaves one for the other, gradient ends."""

import textwrap

import pytest

from headgate.flow.watch import border
from headgate.flow.watcher import watchers
from headgate.record.site import shown_path

torch = pytest.importorskip("torch", reason="PyTorch is not installed")
jax = pytest.importorskip("jax", reason="jax is not installed")

BEGIN = """
    import jax, jax.numpy as jnp, numpy as np, torch

    torch.manual_seed(0)
    enc = torch.nn.Linear(3, 4)
    opt = torch.optim.SGD(enc.parameters(), lr=0.1)
    head = {"w": jax.random.normal(jax.random.key(0), (4, 1))}
    x = torch.randn(8, 3)

    def loss(p, h):
        return jnp.mean((h @ p["w"] - 1.0) ** 2)
"""


def findings(tmp_path, text):
    file = tmp_path / "program.py"
    file.write_text(textwrap.dedent(BEGIN) + textwrap.dedent(text))
    border.border.left.clear()
    border.border.crossings.clear()
    code = compile(file.read_text(), str(file), "exec")
    found = [watcher for watcher in watchers() if watcher.framework in ("torch", "jax")]
    with found[0], found[1]:
        exec(code, {"__name__": "__main__", "__file__": str(file)})
    lines = file.read_text().splitlines()
    return [each for watcher in found for each in watcher.findings()], lines


WAYS = ["jnp.asarray(h.detach().numpy())", "jnp.from_dlpack(h.detach())"]
WAYS += ["jnp.array(h.detach().numpy().reshape(2, 4, 4)).reshape(8, 4)", "jnp.array(h.tolist())"]


@pytest.mark.parametrize("way", WAYS)
def test_a_model_of_one_and_a_loss_of_the_other(tmp_path, way):
    found, lines = findings(
        tmp_path,
        f"""
        for _ in range(3):
            h = torch.tanh(enc(x))
            there = {way}
            value, g = jax.value_and_grad(loss)(head, there)
            head = jax.tree.map(lambda p, d: p - 0.1 * d, head, g)
            opt.step()
        """,
    )
    assert [each.parameter for each in found] == ["weight", "bias"]
    for each in found:
        assert each.kind == "host_round_trip"
        assert way in lines[each.line - 1]
        at = next(k for k, line in enumerate(lines, 1) if "value_and_grad(loss)" in line)
        assert each.label == f"into JAX at {shown_path(each.file)}:{at}"
        assert "h.backward(torch.from_dlpack(dh))" in each.cure


def test_whoever_hands_the_gradient_back_is_right(tmp_path):
    found, _ = findings(
        tmp_path,
        """
        for _ in range(3):
            h = torch.tanh(enc(x))
            there = jnp.asarray(h.detach().numpy())
            g, dh = jax.grad(loss, argnums=(0, 1))(head, there)
            head = jax.tree.map(lambda p, d: p - 0.1 * d, head, g)
            opt.zero_grad()
            h.backward(torch.from_numpy(np.array(dh)))
            opt.step()
        """,
    )
    assert found == []


def test_features_of_a_frozen_model_and_numbers_for_a_log_are_right(tmp_path):
    found, _ = findings(
        tmp_path,
        """
        frozen = torch.nn.Linear(3, 4).requires_grad_(False)
        borrowed = torch.nn.Linear(3, 4)  # nobody trains it
        for _ in range(3):
            h = jnp.asarray(torch.tanh(frozen(x)).numpy())
            h = h + jnp.asarray(torch.tanh(borrowed(x)).detach().numpy())
            g = jax.grad(loss)(head, h)
            head = jax.tree.map(lambda p, d: p - 0.1 * d, head, g)
            opt.zero_grad()
            own = (enc(x) ** 2).mean()
            own.backward()
            opt.step()
            print(own.item())
        """,
    )
    assert found == []
