"""Freed memory is kept: a tensor that is made again needs no new pages."""

import platform
import resource
import subprocess
import sys

import pytest


SCRIPT = """
import resource, sys, torch
from codefusion_hf.memory import keep_freed_memory
if sys.argv[1] == "keep":
    assert keep_freed_memory() is True
def make():
    for size in (2**21, 2**22, 2**23):  # of 8, 16 and 32 MB
        torch.ones(size).add(1)
for _ in range(3):  # until the heap has its size
    make()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(10):
    make()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_tensors_of_the_same_size_need_no_new_pages():
    def page_faults(how: str) -> int:
        done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, check=True)
        return int(done.stdout)

    kept, returned = page_faults("keep"), page_faults("return")
    pages = 10 * 2 * (8 + 16 + 32) * 2**20 // resource.getpagesize()
    assert kept < pages // 8 and kept < returned // 4


def test_without_glibc_nothing_happens(monkeypatch):
    from codefusion_hf import memory

    class Libc:
        def __init__(self, name):
            raise OSError("no such library")

    monkeypatch.setattr(memory.ctypes, "CDLL", Libc)
    assert memory.keep_freed_memory() is False
