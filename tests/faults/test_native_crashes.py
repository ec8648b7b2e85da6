"""No convolution corrupts memory: every network that is shipped or tested, under glibc's malloc checker."""

import os
import subprocess
import sys

import pytest

NETWORKS = """
import sys
import torch
from molweight.models.resnet import ResNet18
from molweight.images.transforms import normalised
from molweight.objectives.reconstruction import Decoder, Discriminator

torch.set_num_threads(1)


def learn(network, *inputs):
    network(*inputs).square().sum().backward()


for width in map(int, sys.argv[1:]):
    backbone = ResNet18(width=width)
    for batch, side in ((2, 32), (13, 32), (2, 64), (2, 224 if width == 64 else 48)):
        pictures = torch.randint(256, (batch, 3, side, side), dtype=torch.uint8)
        learn(backbone, normalised(pictures))
    for _ in range(25):  # the block that crashed, alone: an overrun may hit nothing the first time
        stage = torch.randn(13, width, 8, 8).contiguous(memory_format=backbone.memory_format)
        learn(backbone.layer2[0].downsample[0], stage.requires_grad_())
    decoder, discriminator = Decoder(backbone.dim, max(8, width)), Discriminator(max(8, width))
    for batch in (2, 13):
        learn(lambda embedding: discriminator(decoder(embedding)), torch.randn(batch, backbone.dim))
print("ok")
"""

TEXT = """
import sys
import torch
from transformers import BertConfig, BertModel

torch.set_num_threads(1)
for width in map(int, sys.argv[1:]):
    config = BertConfig(
        vocab_size=99,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=2,
        num_attention_heads=2,
        attn_implementation="eager",
    )
    encoder = BertModel(config)
    for batch, length in ((2, 7), (13, 32)):
        encoder(torch.randint(99, (batch, length))).last_hidden_state.square().sum().backward()
print("ok")
"""


@pytest.mark.parametrize(
    ("script", "widths", "instructions"),
    [
        (NETWORKS, (1, 2, 3, 4, 5, 6, 7, 8, 16, 64), "AVX2"),  # the crash was AVX2's, on whatever processor
        (TEXT, (16, 384), "AVX2"),
        pytest.param(NETWORKS, (*range(1, 25), 32, 64), "DEFAULT", marks=pytest.mark.slow),
        pytest.param(NETWORKS, (*range(1, 25), 32, 64), "SSE41", marks=pytest.mark.slow),
    ],
)
def test_memory_stays_whole(script, widths, instructions):
    environment = os.environ | {
        "ONEDNN_MAX_CPU_ISA": instructions,
        "GLIBC_TUNABLES": "glibc.malloc.check=3",  # aborts at the first block whose ends were overwritten
        "LD_PRELOAD": "libc_malloc_debug.so.0",  # glibc alone has it; elsewhere a crash shows by itself
        "HF_HUB_OFFLINE": "1",
    }
    ended = subprocess.run(
        [sys.executable, "-c", script, *map(str, widths)], capture_output=True, text=True, env=environment
    )
    assert (ended.returncode, ended.stdout) == (0, "ok\n"), ended.stderr[-2000:]
