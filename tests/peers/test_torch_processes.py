"""PyTorch programs of several processes: each has its part in the one report.

Two processes train together over gloo, on the loopback interface: started by
`torch.multiprocessing.spawn`, and by `torchrun`, which is `torch.distributed.run`. What both find
is told once. Workers that a data loader forks leave the report alone, and a program may trace its
own calls.
"""

import json
import os
import socket
import subprocess
import sys

import pytest

pytestmark = pytest.mark.torch

TOGETHER = """
import os, sys
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import nn
from torch.nn.parallel import DistributedDataParallel

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Linear(4, 8)
        self.side = nn.Linear(4, 8)
        self.head = nn.Linear(8, 1)

    def forward(self, x):
        self.side(x)
        return self.head(self.body(x).tanh())

def work(rank, size):
    dist.init_process_group("gloo", rank=rank, world_size=size)
    torch.manual_seed(0)
    net = DistributedDataParallel(Net(), find_unused_parameters="--find" in sys.argv)
    optimizer = torch.optim.SGD(net.parameters(), 0.1)
    for _ in range(2):
        loss = net(torch.randn(8, 4)).pow(2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    dist.destroy_process_group()

if __name__ == "__main__":
    if "RANK" in os.environ:
        work(int(os.environ["RANK"]), int(os.environ["WORLD_SIZE"]))
    else:
        mp.spawn(work, args=(2,), nprocs=2)
"""

ALONE = """
import sys
import torch
from torch.utils.data import DataLoader

calls = []
sys.settrace(lambda frame, event, argument: calls.append(frame.f_code.co_name))
model = torch.nn.Linear(3, 1)
optimizer = torch.optim.SGD(model.parameters(), 0.1)
for x in DataLoader(torch.randn(8, 3), batch_size=4, num_workers=2):
    loss = model(x).mean()
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
sys.settrace(None)
print("traced", "forward" in calls)
"""


def free_port():
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return str(found.getsockname()[1])


def why(folder, program, *options):
    """Run a program under `headgate why`; return how it ended and its findings."""
    script, report = folder / "program.py", folder / "why.json"
    script.write_text(program)
    environment = {name: os.environ[name] for name in os.environ if name != "PYTHONUNBUFFERED"}
    environment |= {
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": free_port(),
        "GLOO_SOCKET_IFNAME": "lo",
        "OMP_NUM_THREADS": "1",
        "CUDA_VISIBLE_DEVICES": "",
    }
    command = [sys.executable, "-m", "headgate.cli", "why", "--json", str(report), *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=environment, timeout=400
    )
    assert report.exists(), done.stderr
    return done, json.loads(report.read_text())["findings"]


def told(findings):
    return {(each["parameter"], each["kind"], each["line"], each["when"]) for each in findings}


SIDE = {
    (f"module.side.{name}", "unused_parameter", 13, "in 2 of 2 processes")
    for name in ("weight", "bias")
}


def test_processes_that_are_spawned_are_one_report(tmp_path):
    done, findings = why(tmp_path, TOGETHER, "program.py", "--find")
    assert told(findings) == SIDE
    assert done.returncode == 1
    assert "4 gradient calls looked at" in done.stdout


def test_what_torchrun_starts_is_one_report(tmp_path):
    launch = ("-m", "torch.distributed.run", "--nproc_per_node=2", f"--master_port={free_port()}")
    done, findings = why(tmp_path, TOGETHER, *launch, "program.py", "--find")
    assert told(findings) == SIDE
    assert done.returncode == 1


def test_the_error_about_unused_parameters_has_its_finding_beside_it(tmp_path):
    done, findings = why(tmp_path, TOGETHER, "program.py")
    assert "Expected to have finished reduction in the prior iteration" in done.stderr
    assert done.returncode == 2
    assert {(name, kind, line) for name, kind, line, _ in told(findings)} == {
        (name, kind, line) for name, kind, line, _ in SIDE
    }


def test_forked_workers_leave_the_report_alone_and_a_program_may_trace_its_calls(tmp_path):
    done, findings = why(tmp_path, ALONE, "program.py")
    assert findings == []
    assert "traced True" in done.stdout
    assert done.stdout.count("gradient calls looked at") == 1
    assert done.returncode == 0, done.stderr
