"""XLA's options for programs that are compiled once and run once: less effort, the same results.

Nearly all the time of such tests goes to the compiler, which need not make their programs fast. The
options are not part of JAX's interface, so one that a release of it does not know is left out.
"""

import functools

LIGHT = {
    "xla_backend_optimization_level": 0,
    "xla_cpu_use_fusion_emitters": False,
    "xla_llvm_disable_expensive_passes": True,
}


def _is_known(option):
    import jax

    try:
        jax.jit(lambda: 0, compiler_options={option: LIGHT[option]})()
    except jax.errors.JaxRuntimeError:
        return False
    return True


@functools.cache
def options():
    """Return those of the options that JAX knows here."""
    return {option: LIGHT[option] for option in LIGHT if _is_known(option)}
