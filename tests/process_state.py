"""Takes the state of the whole process, which a library must leave as it was."""

import asyncio
import gc
import locale
import logging
import os
import random
import signal
import sys
import threading
import warnings
from pathlib import Path
from typing import Any

SIGNALS = [number for number in signal.Signals if number not in (signal.SIGKILL, signal.SIGSTOP)]


def process_state() -> dict[str, Any]:
    """Returns everything that is set for the whole process or thread, by name; libraries only if they are imported.

    Of the environment torch's own variables are left out: it sets one when it is asked whether it can compile.
    """
    umask = os.umask(0)
    os.umask(umask)
    loggers = [logging.getLogger(), *(logging.getLogger(name) for name in ("wavegan", "py.warnings", "asyncio"))]
    return {
        "signal handlers": [signal.getsignal(number) for number in SIGNALS],
        "wakeup": signal.getitimer(signal.ITIMER_REAL),
        "logging": [(logger.level, list(logger.handlers), logger.disabled) for logger in loggers],
        "disabled logging": logging.root.manager.disable,
        "warnings": (list(warnings.filters), warnings.showwarning),
        "environment": {key: value for key, value in os.environ.items() if not key.startswith("TORCHINDUCTOR_")},
        "folder": Path.cwd(),
        "umask": umask,
        "hooks": (sys.excepthook, sys.unraisablehook, threading.excepthook, sys.gettrace(), sys.displayhook),
        "streams": (sys.stdout, sys.stderr, sys.stdin),
        "path": list(sys.path),
        "locale": locale.setlocale(locale.LC_ALL),
        "collector": (gc.isenabled(), gc.get_threshold()),
        "limits": (sys.getrecursionlimit(), sys.getswitchinterval()),
        "random": random.getstate(),
        "event loop policy": type(asyncio.get_event_loop_policy()),
        **_of_libraries(),
    }


def _of_libraries() -> dict[str, Any]:
    state: dict[str, Any] = {}
    if numpy := sys.modules.get("numpy"):
        kind, keys, *place = numpy.random.get_state()
        state["numpy"] = (kind, keys.tolist(), place, numpy.geterr(), numpy.get_printoptions())
    if torch := sys.modules.get("torch"):
        cudnn = torch.backends.cudnn
        state |= {
            "torch generator": torch.get_rng_state().tolist(),
            "torch gradients": (
                torch.is_grad_enabled(),
                torch.is_inference_mode_enabled(),
                torch.is_autocast_enabled("cpu"),
            ),
            "torch anomalies": torch.is_anomaly_enabled(),
            "torch types": (torch.get_default_dtype(), torch.get_default_device()),
            "torch threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
            "torch deterministic": (
                torch.are_deterministic_algorithms_enabled(),
                torch.is_deterministic_algorithms_warn_only_enabled(),
                cudnn.deterministic,
                cudnn.benchmark,
            ),
            "torch tf32": (
                torch.backends.cuda.matmul.allow_tf32,
                cudnn.allow_tf32,
                torch.get_float32_matmul_precision(),
            ),
            "torch mkldnn": torch.backends.mkldnn.enabled,
            "torch sharing": torch.multiprocessing.get_sharing_strategy(),
        }
    if matplotlib := sys.modules.get("matplotlib"):
        state["matplotlib"] = dict(matplotlib.rcParams)
    if pyplot := sys.modules.get("matplotlib.pyplot"):
        state["figures"] = pyplot.get_fignums()
    return state
