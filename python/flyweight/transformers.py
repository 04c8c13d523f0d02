"""Callbacks for the Trainer of transformers: checkpoints kept as a chain of archives, and what restores them.

trainer = Trainer(..., callbacks=[FlyweightCallback()])
trainer.train(resume_from_checkpoint=materialize(output_dir))
"""

from __future__ import annotations

import logging
import os
import pathlib
import warnings
from typing import Any

import torch.distributed
from transformers import TrainerCallback

from flyweight import _atomic, _levels
from flyweight._buffers import check_threads
from flyweight._chain import Chain
from flyweight._errors import FlyweightError
from flyweight._safe_open import safe_open

__all__ = ["DeltaTensorsCallback", "FlyweightCallback", "materialize"]

CHAIN_FOLDER = "flyweight"
_DELTA_FILE = "model.delta.fly"
_logger = logging.getLogger(__name__)


class _OnSave(TrainerCallback):  # type: ignore[misc]
    """Does something with each checkpoint after it was saved, once in a run of many processes."""

    def __init__(self, on_error: str) -> None:
        if on_error not in ("raise", "warn"):
            raise ValueError(f'on_error is "raise" or "warn", not {on_error!r}')
        self._on_error = on_error

    def on_save(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        """Called by the Trainer on every rank, after older checkpoints were rotated away."""
        # Ranks write files of their own (rng_state_1.pth), which may not be there yet.
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.barrier()
        if not state.is_world_process_zero:
            return
        checkpoint = pathlib.Path(args.output_dir) / f"checkpoint-{state.global_step}"
        try:
            if not checkpoint.is_dir():
                raise FlyweightError(f"there is no {checkpoint} to keep: it was saved elsewhere or removed")
            self._keep(checkpoint, args, state)
        except Exception as error:
            if self._on_error == "raise":
                raise
            message = f"{checkpoint} is as the Trainer saved it, and was not kept in compressed form: {error}"
            _logger.error(message, exc_info=True)
            warnings.warn(message, stacklevel=2)

    def _keep(self, checkpoint: pathlib.Path, args: Any, state: Any) -> None:
        raise NotImplementedError


class FlyweightCallback(_OnSave):
    """Keeps every checkpoint of a run, whatever `save_total_limit` removes, as a chain of archives.

    Each archive holds a whole `checkpoint-N` folder: weights, optimizer, scheduler, random states. It is a patch on the
    one before, and every `key_frame_every`-th stands alone. The chain lies in `folder`, by default `flyweight` in the
    output folder. Every archive is read back and compared with the folder before it counts.

    `delete_full_checkpoint` removes the folder after its archive was verified once more; `materialize` brings it back.
    The best checkpoint stays where `load_best_model_at_end` needs it. `keep_last` forgets older versions, and removes
    the archives that no newer one needs. A failure raises, or, with `on_error="warn"`, warns and leaves the folder
    alone; training goes on. Only the first process of a run compresses; the others wait until all have saved.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str] | None = None,
        *,
        key_frame_every: int = 10,
        level: str | int = "balanced",
        threads: int = 0,
        delete_full_checkpoint: bool = False,
        keep_last: int | None = None,
        on_error: str = "raise",
    ) -> None:
        super().__init__(on_error)
        _levels.number(level)
        check_threads(threads)
        for name, count in (("key_frame_every", key_frame_every), ("keep_last", 1 if keep_last is None else keep_last)):
            if count < 1:
                raise ValueError(f"{name} must be 1 or more, not {count}")
        self._folder = folder
        self._key_frame_every, self._level, self._threads = key_frame_every, level, threads
        self._delete_full_checkpoint, self._keep_last = delete_full_checkpoint, keep_last

    def _keep(self, checkpoint: pathlib.Path, args: Any, state: Any) -> None:
        chain = Chain(self._folder or checkpoint.parent / CHAIN_FOLDER)
        version = chain.add(state.global_step, checkpoint, self._key_frame_every, self._level, self._threads)
        _logger.info("kept %s as %s (%d bytes)", checkpoint, version.file, version.size_bytes)
        if self._delete_full_checkpoint and not _is_needed_at_the_end(checkpoint, args, state):
            chain.verify(version, self._threads)
            _atomic.remove_folder(checkpoint)
        if self._keep_last is not None:
            chain.keep_last(self._keep_last)


def _is_needed_at_the_end(checkpoint: pathlib.Path, args: Any, state: Any) -> bool:
    best = state.best_model_checkpoint
    return bool(args.load_best_model_at_end and best and pathlib.Path(best).absolute() == checkpoint.absolute())


def materialize(
    output_dir: str | os.PathLike[str],
    step: int | None = None,
    *,
    folder: str | os.PathLike[str] | None = None,
    target: str | os.PathLike[str] | None = None,
    threads: int = 0,
) -> str:
    """Restores a checkpoint that FlyweightCallback kept, and returns its folder, which a Trainer can resume from.

    By default that is the newest step of the chain in `output_dir`, as `checkpoint-N` in it; `target` is another place.
    A checkpoint that is there already is returned as it is. The folder appears complete, every checksum verified, or
    not at all. Raises FlyweightError where the chain lacks the step, is broken or damaged, and FileExistsError where
    the place is taken by something that is no whole checkpoint.
    """
    chain = Chain(folder or pathlib.Path(output_dir) / CHAIN_FOLDER)
    version = chain.find(step)
    place = pathlib.Path(target) if target is not None else pathlib.Path(output_dir) / f"checkpoint-{version.step}"
    # The Trainer writes this file last.
    if not (place / "trainer_state.json").is_file():
        chain.restore(version, place, threads)
    return str(place)


class DeltaTensorsCallback(_OnSave):
    """Keeps the weights of every checkpoint as a near-lossless delta to the model in `base_dir`.

    The delta is `model.delta.fly` in the checkpoint, written by `flyweight.deltatensors.save_delta_from_paths` with
    `strategy` and `strategy_kwargs`. `delete_full_checkpoint` removes the weights after the delta was decoded: what
    remains then is not what was trained but near it. For every bit of it use FlyweightCallback.
    """

    def __init__(
        self,
        base_dir: str | os.PathLike[str],
        strategy: str = "int4",
        delete_full_checkpoint: bool = False,
        *,
        on_error: str = "raise",
        **strategy_kwargs: Any,
    ) -> None:
        super().__init__(on_error)
        self._base_dir, self._strategy, self._strategy_kwargs = base_dir, strategy, strategy_kwargs
        self._delete_full_checkpoint = delete_full_checkpoint

    def _keep(self, checkpoint: pathlib.Path, args: Any, state: Any) -> None:
        from flyweight import deltatensors

        weights = sorted(checkpoint.glob("*.safetensors"))
        if not weights:
            raise FlyweightError(f"{checkpoint} has no safetensors files to make a delta of")
        delta = checkpoint / _DELTA_FILE
        deltatensors.save_delta_from_paths(
            delta, checkpoint, self._base_dir, strategy=self._strategy, **self._strategy_kwargs
        )
        if self._delete_full_checkpoint and not _is_needed_at_the_end(checkpoint, args, state):
            decoded = deltatensors.load_delta_from_paths(delta, self._base_dir, framework="pt")
            _check_names(decoded, weights)
            for path in [*weights, *checkpoint.glob("*.safetensors.index.json")]:
                path.unlink()


def _check_names(decoded: dict[str, Any], weights: list[pathlib.Path]) -> None:
    names: set[str] = set()
    for path in weights:
        with safe_open(path, framework="pt") as opened:
            names.update(opened.keys())
    if decoded.keys() != names:
        raise FlyweightError(
            f"the delta gives other tensors than {weights[0].parent}: {sorted(names ^ decoded.keys())}"
        )
