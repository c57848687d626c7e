"""The registries: which names a config may use, and in which folder each lives.

Every registry is a child of mmengine's of the same name, so that a part that
is not found here is looked up there. All modules of ``locations`` are imported on first use:
nobody has to import a part before a config can name it, and a new part is one new file.
"""

import pkgutil
from importlib import import_module

from mmengine.registry import DATA_SAMPLERS as MMENGINE_DATA_SAMPLERS
from mmengine.registry import DATASETS as MMENGINE_DATASETS
from mmengine.registry import EVALUATOR as MMENGINE_EVALUATOR
from mmengine.registry import FUNCTIONS as MMENGINE_FUNCTIONS
from mmengine.registry import HOOKS as MMENGINE_HOOKS
from mmengine.registry import INFERENCERS as MMENGINE_INFERENCERS
from mmengine.registry import LOG_PROCESSORS as MMENGINE_LOG_PROCESSORS
from mmengine.registry import LOOPS as MMENGINE_LOOPS
from mmengine.registry import METRICS as MMENGINE_METRICS
from mmengine.registry import MODEL_WRAPPERS as MMENGINE_MODEL_WRAPPERS
from mmengine.registry import MODELS as MMENGINE_MODELS
from mmengine.registry import OPTIM_WRAPPER_CONSTRUCTORS as MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS
from mmengine.registry import OPTIM_WRAPPERS as MMENGINE_OPTIM_WRAPPERS
from mmengine.registry import OPTIMIZERS as MMENGINE_OPTIMIZERS
from mmengine.registry import PARAM_SCHEDULERS as MMENGINE_PARAM_SCHEDULERS
from mmengine.registry import RUNNER_CONSTRUCTORS as MMENGINE_RUNNER_CONSTRUCTORS
from mmengine.registry import RUNNERS as MMENGINE_RUNNERS
from mmengine.registry import STRATEGIES as MMENGINE_STRATEGIES
from mmengine.registry import TASK_UTILS as MMENGINE_TASK_UTILS
from mmengine.registry import TRANSFORMS as MMENGINE_TRANSFORMS
from mmengine.registry import VISBACKENDS as MMENGINE_VISBACKENDS
from mmengine.registry import VISUALIZERS as MMENGINE_VISUALIZERS
from mmengine.registry import WEIGHT_INITIALIZERS as MMENGINE_WEIGHT_INITIALIZERS
from mmengine.registry import Registry


class ChildRegistry(Registry):
    """A child of one of mmengine's registries.

    Args:
        parent: Where a part is looked up that is not found here.
        *locations: Packages; a part may stand in any module of them or of the packages below.
    """

    def __init__(self, parent: Registry, *locations: str) -> None:
        super().__init__(parent.name, parent=parent, scope='soho', locations=list(locations))

    def import_from_location(self) -> None:
        """Import every module in which a part may stand, once."""
        if self._imported:
            return
        self._imported = True  # before, since modules that register a part may look another one up
        try:
            for location in self._locations:
                package = import_module(location)
                for module in pkgutil.walk_packages(package.__path__, f'{location}.'):
                    import_module(module.name)
        except BaseException:
            self._imported = False
            raise


def import_parts() -> None:
    """Import every part of this project, for look-ups that go by mmengine's own registries.

    ``collate_fn`` and ``init_cfg`` are looked up there, whatever the default scope.
    """
    for registry in list(globals().values()):
        if isinstance(registry, ChildRegistry):
            registry.import_from_location()


# What is read, and in which order.
DATASETS = ChildRegistry(MMENGINE_DATASETS, 'soho.datasets')
DATA_SAMPLERS = ChildRegistry(MMENGINE_DATA_SAMPLERS, 'soho.datasets')
TRANSFORMS = ChildRegistry(MMENGINE_TRANSFORMS, 'soho.datasets.transforms')
# mmengine's runner looks collate functions up in its own registry only.
FUNCTIONS = MMENGINE_FUNCTIONS
TASK_UTILS = ChildRegistry(MMENGINE_TASK_UTILS, 'soho.datasets')

# What learns.
# init_cfg of any part may name Pretrained, for which mmengine has a less careful one.
MODELS = ChildRegistry(MMENGINE_MODELS, 'soho.models', 'soho.engine.checkpoint')
MODEL_WRAPPERS = ChildRegistry(MMENGINE_MODEL_WRAPPERS, 'soho.engine')
WEIGHT_INITIALIZERS = ChildRegistry(MMENGINE_WEIGHT_INITIALIZERS, 'soho.engine')

# What happens around a step.
HOOKS = ChildRegistry(MMENGINE_HOOKS, 'soho.engine')
LOOPS = ChildRegistry(MMENGINE_LOOPS, 'soho.engine')
RUNNERS = ChildRegistry(MMENGINE_RUNNERS, 'soho.engine')
RUNNER_CONSTRUCTORS = ChildRegistry(MMENGINE_RUNNER_CONSTRUCTORS, 'soho.engine')
STRATEGIES = ChildRegistry(MMENGINE_STRATEGIES, 'soho.engine')
OPTIMIZERS = ChildRegistry(MMENGINE_OPTIMIZERS, 'soho.engine')
OPTIM_WRAPPERS = ChildRegistry(MMENGINE_OPTIM_WRAPPERS, 'soho.engine')
OPTIM_WRAPPER_CONSTRUCTORS = ChildRegistry(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'soho.engine')
PARAM_SCHEDULERS = ChildRegistry(MMENGINE_PARAM_SCHEDULERS, 'soho.engine')
LOG_PROCESSORS = ChildRegistry(MMENGINE_LOG_PROCESSORS, 'soho.engine')

# What is measured, shown and called.
METRICS = ChildRegistry(MMENGINE_METRICS, 'soho.evaluation')
EVALUATOR = ChildRegistry(MMENGINE_EVALUATOR, 'soho.evaluation')
VISUALIZERS = ChildRegistry(MMENGINE_VISUALIZERS, 'soho.visualization')
VISBACKENDS = ChildRegistry(MMENGINE_VISBACKENDS, 'soho.visualization')
INFERENCERS = ChildRegistry(MMENGINE_INFERENCERS, 'soho.apis')
