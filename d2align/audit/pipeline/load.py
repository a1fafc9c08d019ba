"""A project's model, mappers and evaluator, from its config file; no weights are read."""

from __future__ import annotations

import contextlib
import inspect
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from d2align.audit.function import load_function, name_of

Mapper = Callable[[dict[str, Any]], dict[str, Any]]


@dataclass(frozen=True)
class Pipeline:
    """What is audited.

    Attributes:
        name: of the config.
        model: built, on the CPU, with random weights.
        train_mapper: from a record of the data set to the model's input, in training.
        test_mapper: likewise in testing; None if there is none.
        make_evaluator: (data set name, output folder) -> a DatasetEvaluator.
        num_keypoints: 0 for none.
        mapper_name: what reports call the mapper.
    """

    name: str
    model: Any
    train_mapper: Mapper
    test_mapper: Mapper | None
    make_evaluator: Callable[[str, str], Any]
    num_keypoints: int = 0
    mapper_name: str = ""


def load_pipeline(
    config_file: str,
    opts: Sequence[str] = (),
    *,
    mapper: str | None = None,
    evaluator: str | None = None,
    setup: str | None = None,
) -> Pipeline:
    """Build a project's parts as its training does, but for weights and device.

    Args:
        config_file: a YAML file of Detectron2's keys and d2align's, or a LazyConfig .py file,
            whose code is run.
        opts: KEY VALUE KEY VALUE ..., or KEY=VALUE ... for a LazyConfig.
        mapper: import path MODULE:NAME of a mapper, called as name(cfg, is_train) and, if it does
            not take those, as it is: name(record). By default that of the config, or Detectron2's
            DatasetMapper (d2align's for d2align's models).
        evaluator: import path of a function (data set name, output folder) -> DatasetEvaluator.
        setup: import path of a function that is called with the config before the file is read:
            to add keys, and to register by being imported.

    Returns:
        The pipeline.

    Raises:
        ValueError: a bad file or import path.
    """
    make = load_function(evaluator) if evaluator else None
    with quiet():
        if config_file.endswith(".py"):
            found = _from_lazy_config(config_file, opts, mapper)
        else:
            found = _from_yaml(config_file, opts, mapper, setup)
    return Pipeline(**{**found.__dict__, "make_evaluator": make}) if make else found


def read_yaml(config_file: str, opts: Sequence[str], setup: str | None = None) -> Any:
    """Return a YAML config with Detectron2's keys, d2align's and the project's own.

    Args:
        config_file: path.
        opts: KEY VALUE ...
        setup: as for ``load_pipeline``.

    Returns:
        A CfgNode.

    Raises:
        ValueError: a bad file or key.
    """
    from detectron2.config import get_cfg

    import d2align.data  # noqa: F401  # registers the built-in data sets
    from d2align.config import add_d2align_config, check_d2align_config
    from d2align.engine import find_config
    from d2align.modeling.small_backbone import add_small_backbone_config

    config_file = find_config(config_file)
    cfg = get_cfg()
    add_d2align_config(cfg)
    add_small_backbone_config(cfg)
    if setup:
        load_function(setup)(cfg)
    try:
        cfg.merge_from_file(config_file, allow_unsafe=_is_detectron2s(config_file))
        cfg.merge_from_list(list(opts))
    except Exception as e:  # whatever is wrong with the file, the way out is the same
        raise ValueError(
            f"--config-file {config_file}: {type(e).__name__}: {e}. Expected a YAML file of "
            "Detectron2's keys without Python tags; keys of your own: --setup MODULE:NAME"
        ) from None
    check_d2align_config(cfg)
    return cfg


def _is_detectron2s(config_file: str) -> bool:
    """Whether a file came with Detectron2, whose RetinaNet has Python tags in its YAML."""
    import detectron2

    return Path(detectron2.__file__).resolve().parent in Path(config_file).resolve().parents


def _from_yaml(
    config_file: str, opts: Sequence[str], mapper: str | None, setup: str | None
) -> Pipeline:
    from detectron2.modeling import build_model

    cfg = read_yaml(config_file, opts, setup)
    cfg.MODEL.WEIGHTS, cfg.MODEL.DEVICE = "", "cpu"
    build = load_function(mapper) if mapper else default_mapper(cfg)
    train, test = (_build_mapper(build, cfg, is_train) for is_train in (True, False))
    return Pipeline(
        name=config_file,
        model=build_model(cfg),
        train_mapper=train,
        test_mapper=test,
        make_evaluator=_default_evaluator(_is_ours(cfg), cfg.TEST.KEYPOINT_OKS_SIGMAS),
        num_keypoints=cfg.MODEL.ROI_KEYPOINT_HEAD.NUM_KEYPOINTS if cfg.MODEL.KEYPOINT_ON else 0,
        mapper_name=mapper or name_of(build),
    )


def _from_lazy_config(config_file: str, opts: Sequence[str], mapper: str | None) -> Pipeline:
    from detectron2.config import LazyConfig, instantiate

    if not Path(config_file).is_file():
        raise ValueError(f"--config-file: got {config_file!r}, expected a file")
    cfg = LazyConfig.apply_overrides(LazyConfig.load(config_file), list(opts))
    model = instantiate(cfg.model)
    loaders = cfg.dataloader
    if mapper:
        build = load_function(mapper)
        train, test = (_build_mapper(build, cfg, is_train) for is_train in (True, False))
    else:
        train = instantiate(loaders.train.mapper)
        test = instantiate(loaders.test.mapper) if "test" in loaders else None
    heads = getattr(model, "roi_heads", None)
    keypoint_head = getattr(heads, "keypoint_head", None)
    return Pipeline(
        name=config_file,
        model=model,
        train_mapper=train,
        test_mapper=test,
        make_evaluator=_default_evaluator(False, ()),
        num_keypoints=getattr(keypoint_head, "num_keypoints", 0),
        mapper_name=mapper or name_of(type(train)),
    )


def default_mapper(cfg: Any) -> Any:
    """Return the mapper class that goes with a config: d2align's for its models, Detectron2's."""
    if _is_ours(cfg):
        from d2align.data import PixelExactDatasetMapper

        return PixelExactDatasetMapper
    from detectron2.data import DatasetMapper

    return DatasetMapper


def _is_ours(cfg: Any) -> bool:
    return bool(cfg.MODEL.META_ARCHITECTURE.startswith("PixelExact"))


def _build_mapper(build: Any, cfg: Any, is_train: bool) -> Mapper:
    """A mapper from its class or maker, or the mapper itself."""
    if not isinstance(build, type) and not _takes_config(build):
        return build  # type: ignore[no-any-return]
    made: Mapper = build(cfg, is_train)
    return made


def _takes_config(function: Any) -> bool:
    required = [
        p
        for p in inspect.signature(function).parameters.values()
        if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD) and p.default is p.empty
    ]
    return len(required) >= 2 or bool(required and required[0].name == "cfg")


def _default_evaluator(ours: bool, sigmas: Sequence[float]) -> Callable[[str, str], Any]:
    def make(dataset: str, folder: str) -> Any:
        # Not at the top: the auditor of functions needs no Detectron2.
        if ours:
            from d2align.evaluation import COCOEvaluator

            return COCOEvaluator(dataset, output_dir=folder, kpt_oks_sigmas=sigmas)
        from detectron2.evaluation import COCOEvaluator

        return COCOEvaluator(dataset, output_dir=folder, use_fast_impl=False, kpt_oks_sigmas=sigmas)

    return make


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keep what is built and run from printing and logging."""
    level = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with contextlib.redirect_stdout(io.StringIO()), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
