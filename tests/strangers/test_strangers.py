"""`headgate why` on programs that use the libraries of others, as their users write them.

Each program runs plainly and under `headgate why`, in a process each: what it prints, sums of its
parameters among it, is the same to the last bit, and it has no finding, or one that is true. Then a
script plants a defect from outside, into the library or between it and the program, and runs the
program: the finding names a parameter that lost its gradient, the kind, and the planted line.
"""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

HERE = Path(__file__).parent
GIVEN = os.environ.get("PYTHONPATH", "")
PROGRAMS = sorted(path.stem for path in (HERE / "programs").glob("*.py"))

TRUE = {
    "byol_images": {
        ("*.fc.weight", "unused_parameter"): "the loss takes the layer before this one",
        ("*.fc.bias", "unused_parameter"): "the loss takes the layer before this one",
    },
}
"""Program -> pattern of a parameter and kind of a finding that is true -> why it is."""


@dataclass(frozen=True)
class Plant:
    """What is to be found once a defect is planted.

    Attributes:
        program: the one that the script runs.
        kinds: kinds that are right, of the first finding on a parameter.
        parameters: patterns of the parameters that are hurt; each has a finding, and no other has.
        options: those of `headgate why`.
        fails: whether the program fails.
    """

    program: str
    kinds: tuple[str, ...]
    parameters: tuple[str, ...]
    options: tuple[str, ...] = ()
    fails: bool = False


PLANTS = {
    "lora_gpt2_detached": Plant("lora_gpt2", ("stop_gradient",), ("*.h.0.*.lora_?.*",)),
    "lora_llama_frozen_inputs": Plant(
        "lora_llama_checkpointed", ("checkpoint",), ("*.layers.[01].*.lora_?.*",)
    ),
    "bert_left_out": Plant("bert_classifier", ("optimizer_mask",), ("classifier.*",)),
    "bert_frozen_by_attribute": Plant(
        "bert_classifier", ("freeze_without_effect", "frozen"), ("bert.encoder.*",)
    ),
    "ppo_frozen": Plant("sb3_ppo", ("frozen",), ("value_net.*",), ("--flow", "value_net.*")),
    "ppo_no_grad": Plant(
        "sb3_ppo", ("no_grad_block",), ("*value_net.[0-9].*", "value_net.weight", "value_net.bias")
    ),
    "sac_host_round_trip": Plant("sb3_sac", ("host_round_trip", "stop_gradient"), ("actor.*",)),
    "sac_temperature_left_out": Plant("sb3_sac", ("variable_replaced",), ("*log_ent_coef",)),
    "dqn_left_out": Plant("sb3_dqn", ("optimizer_mask",), ("q_net.q_net.0.*",)),
    "vq_detached": Plant("vq_autoencoder", ("stop_gradient",), ("*encoder.*",)),
    "byol_data": Plant("byol_images", ("stop_gradient",), ("*net.*",)),
    "gan_detached": Plant("lightning_gan", ("stop_gradient",), ("generator.*",), fails=True),
    "timm_copied_head": Plant(
        "timm_new_head", ("optimizer_mask", "variable_replaced"), ("*classifier.*",)
    ),
    "timm_rounded": Plant("timm_new_head", ("nondiff_op", "zero_derivative"), ("*",)),
    "metric_detached": Plant("metric_learning", ("stop_gradient",), ("*[02].*",)),
    "gp_item": Plant("gp_regression", ("host_round_trip",), ("*raw_outputscale",)),
    "captum_integers": Plant("captum_attributions", ("integer_cast",), ("conv.*",)),
    "linen_detached": Plant("flax_linen_cnn", ("stop_gradient",), ("*Conv_0*",)),
    "nnx_rounded": Plant("flax_nnx_transformer", ("nondiff_op",), ("*embed*embedding*",)),
    "equinox_integers": Plant("equinox_rnn", ("integer_cast",), ("*cell.*",)),
    "haiku_detached": Plant("haiku_vqvae", ("stop_gradient",), ("*encoder*",)),
    "optax_masked": Plant(
        "optax_multi_transform", ("optimizer_mask", "zeroed_update"), ("*hidden*",)
    ),
    "rlax_stopped": Plant("rlax_agents", ("stop_gradient",), ("*online*",)),
    "numpyro_stopped": Plant("numpyro_svi", ("stop_gradient",), ("*sigma*",)),
    "optimistix_stopped": Plant("optimistix_bilevel", ("stop_gradient",), ("*log_weight*",)),
    "diffrax_stopped": Plant("diffrax_neural_ode", ("stop_gradient",), ("*func.*",)),
    "keras_images_stopped": Plant(
        "keras_images_tensorflow",
        ("stop_gradient",),
        ("*conv2d*", "stem*", "batch_normalization*"),
    ),
    "keras_text_detached": Plant("keras_text_torch", ("stop_gradient",), ("*attention*",)),
    "keras_tables_rounded": Plant("keras_tables_jax", ("nondiff_op",), ("*town_table*",)),
    "keras_gan_by_numpy": Plant(
        "keras_gan_tensorflow", ("host_round_trip",), ("*dense*", "*conv2d_transpose*")
    ),
    "keras_hub_frozen_adapters": Plant("keras_hub_gpt2", ("frozen",), ("*lora_kernel*",)),
    "tfp_flow_integers": Plant("tfp_inference", ("integer_cast",), ("tail*",)),
}


MISSED = {
    "optax_masked": "set_to_zero for a label, behind optax.MultiSteps",
    "keras_images_stopped": "a stop within BatchNormalization is told before the planted one",
    "keras_tables_rounded": "Keras on JAX gives its arrays away, and the watcher reads them later",
    "keras_hub_frozen_adapters": "a fit in which nothing at all is trainable",
    "tfp_flow_integers": "what is true is found, and what is said of `tfp_inference` besides",
}
"""Defects that are not found yet -> why."""

LOUD = {"tfp_inference": "a rule of TFP's own is said to give nothing to the surrogate's scale"}
"""Programs that are not left in peace yet -> why."""


@functools.cache
def ran(script, *command):
    """Run a script of this folder in a process, and return how it ended."""
    environment = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(HERE / "site"), GIVEN])),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_OFFLINE": "1",
        "CUDA_VISIBLE_DEVICES": "",
        "JAX_PLATFORMS": "cpu",
        "JAX_ENABLE_X64": "0",
        "TF_NUM_INTRAOP_THREADS": "1",
    }
    return subprocess.run(
        [sys.executable, *command, script],
        cwd=HERE,
        env=environment,
        capture_output=True,
        text=True,
        timeout=400,
    )


def why(script, folder, *options):
    """Run a script under `headgate why`, and return how it ended and what was found."""
    report = folder / "why.json"
    ended = ran(script, "-m", "headgate.cli", "why", "--json", str(report), *options)
    assert report.exists(), ended.stderr
    return ended, json.loads(report.read_text())["findings"]


def told(finding):
    return f"{finding['parameter']}: {finding['kind']} at {finding['file']}:{finding['line']}"


def needed(program):
    """Skip the test where a library of a program is not installed."""
    text = (HERE / "programs" / f"{program}.py").read_text()
    for library in re.findall(r"^(?:import|from) (\w+)", text, re.MULTILINE):
        if importlib.util.find_spec(library) is None:
            pytest.skip(f"{library} is not installed")


def is_true(finding, program):
    return any(
        fnmatchcase(finding["parameter"], pattern) and finding["kind"] == kind
        for pattern, kind in TRUE.get(program, ())
    )


@pytest.mark.parametrize(
    "program",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=LOUD[name]) if name in LOUD else ())
        for name in PROGRAMS
    ],
)
def test_a_program_runs_as_it_does_alone_and_has_no_finding_that_is_not_true(program, tmp_path):
    needed(program)
    script = f"programs/{program}.py"
    alone = ran(script)
    assert alone.returncode == 0, alone.stderr
    watched, findings = why(script, tmp_path)
    assert watched.stdout[: len(alone.stdout)] == alone.stdout
    assert [told(each) for each in findings if not is_true(each, program)] == []
    assert watched.returncode == (1 if program in TRUE else 0), watched.stderr
    for pattern, kind in TRUE.get(program, ()):
        assert any(
            fnmatchcase(each["parameter"], pattern) and each["kind"] == kind for each in findings
        )


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.xfail(reason=MISSED[name]) if name in MISSED else ())
        for name in PLANTS
    ],
)
def test_a_planted_defect_is_found_at_its_line(name, tmp_path):
    plant = PLANTS[name]
    needed(plant.program)
    script = HERE / "plants" / f"{name}.py"
    ended, findings = why(f"plants/{name}.py", tmp_path, *plant.options)
    assert ended.returncode == (2 if plant.fails else 1), ended.stderr
    findings = [each for each in findings if not is_true(each, plant.program)]
    hurt = [
        [each for each in findings if fnmatchcase(each["parameter"], pattern)]
        for pattern in plant.parameters
    ]
    said = [told(each) for each in findings]
    assert all(hurt), said
    there = {
        (str(script), number)
        for number, line in enumerate(script.read_text().splitlines(), 1)
        if line.endswith("# planted")
    }
    first = {each["parameter"]: each for group in hurt for each in reversed(group)}
    assert first.keys() == {each["parameter"] for each in findings}, said
    for each in first.values():
        assert each["kind"] in plant.kinds, said
        lines = {(place["file"], place["line"]) for place in (each, *each["called_from"])}
        assert not there or lines & there, said


def test_each_program_has_a_defect_planted_into_it():
    assert {plant.program for plant in PLANTS.values()} == set(PROGRAMS)
    assert set(PLANTS) == {path.stem for path in (HERE / "plants").glob("*.py")}
