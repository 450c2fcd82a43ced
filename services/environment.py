"""What libraries are told through the environment, before a process imports them."""

import os

WORKERS = "KINDRED_WORKERS"  # how many processes are to serve
FOR_TWO = 4_000_000_000  # bytes of free memory: two workers take 2.6 GB with the default model
# Nothing calls out, and nothing but Kindred's own words is printed.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "TOKENIZERS_PARALLELISM": "false",
}
SERVING = {
    # Milvus Lite's products of small matrices gain nothing from threads, and OpenBLAS's would
    # take the cores from torch's: 56 instead of 33 ms a search on two cores.
    "OPENBLAS_NUM_THREADS": "1",
    # Threads that wait for each other spin, and where another process has a core they spin for
    # as long as it has it: a search's encode took 99 ms (374 at worst), and 16 (24) so. Alone
    # it costs a millisecond.
    "GOMP_SPINCOUNT": "1000",
}


def usual_workers() -> int:
    """Two, of which one answers where the other is killed or busy; one where memory is short."""
    import psutil

    return 2 if psutil.virtual_memory().available >= FOR_TWO else 1


def worker_count() -> int:
    """How many processes are to serve."""
    return int(os.environ.get(WORKERS, "1"))


def thread_share(workers: int) -> dict[str, str]:
    """Torch's threads of each of several workers: together no more than there are cores."""
    if workers == 1:
        return {}
    return {"OMP_NUM_THREADS": str(max(1, len(os.sched_getaffinity(0)) // workers))}
