import pytest
import torch

from retrieval import compute


@pytest.fixture
def machine(monkeypatch):
    """Say what the processor and the graphics card can do."""

    def is_like(gpu=False, gpu_bf16=True, amx=False):
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)
        monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda: gpu_bf16)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"amx_bf16": amx})

    return is_like


@pytest.fixture
def torch_settings():
    """Put back what `make_repeatable` sets for the whole process."""
    threads = torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    torch.use_deterministic_algorithms(False)


@pytest.mark.parametrize(
    ("device", "gpu", "expected"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "cuda"),
        ("cpu", True, "cpu"),
        ("cuda", True, "cuda"),
        ("cuda:1", True, "cuda:1"),
    ],
)
def test_the_device_is_a_gpu_if_there_is_one_or_what_is_asked_for(machine, device, gpu, expected):
    machine(gpu=gpu)
    assert compute.resolve_device(device) == expected


@pytest.mark.parametrize("device", ["cuda", "cuda:0"])
def test_a_gpu_that_is_not_there_is_refused(machine, device):
    machine(gpu=False)
    with pytest.raises(ValueError, match=f"got device {device}, .*expected auto or cpu"):
        compute.resolve_device(device)


@pytest.mark.parametrize(
    ("precision", "device", "can", "expected"),
    [
        ("auto", "cpu", {"amx": True}, "bf16"),
        ("auto", "cpu", {"amx": False}, "fp32"),
        ("auto", "cuda", {"gpu": True, "gpu_bf16": True}, "bf16"),
        ("auto", "cuda:1", {"gpu": True, "gpu_bf16": False, "amx": True}, "fp32"),
        ("fp32", "cpu", {"amx": True}, "fp32"),
        ("bf16", "cpu", {"amx": False}, "bf16"),
    ],
)
def test_bf16_is_chosen_only_where_hardware_has_it(machine, precision, device, can, expected):
    machine(**can)
    assert compute.resolve_precision(precision, device) == expected


@pytest.mark.parametrize(
    ("can", "expected"),
    [({"amx_bf16": True}, "bf16"), ({"avx512_bf16": True}, "bf16"), ({"avx512_f": True}, "fp32")],
)
def test_products_alone_need_no_matrix_unit(machine, monkeypatch, can, expected):
    machine()
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: can)
    assert compute.resolve_precision("auto", "cpu", compute.PRODUCTS) == expected


def test_an_older_processor_without_the_key_computes_in_fp32(machine, monkeypatch):
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert compute.resolve_precision("auto", "cpu") == "fp32"


@pytest.mark.parametrize(
    ("precision", "dtype"), [("fp32", torch.float32), ("bf16", torch.bfloat16)]
)
def test_autocast_multiplies_in_the_precision(precision, dtype):
    with compute.autocast("cpu", precision):
        assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == dtype
    assert (torch.ones(2, 2) @ torch.ones(2, 2)).dtype == torch.float32


def test_repeatable_means_the_same_numbers_from_the_same_seed(torch_settings):
    draws = []
    for seed in (5, 5, 6):
        compute.make_repeatable(seed, threads=1)
        draws.append(torch.rand(8))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])
    assert torch.get_num_threads() == 1
    assert torch.are_deterministic_algorithms_enabled()
