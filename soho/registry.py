"""The registries: which names a config may use, and in which folder each lives.

Every registry is a child of mmengine's of the same name, so that a part that
is not found here is looked up there. ``locations`` are imported on first use:
nobody has to import a part before a config can name it.
"""

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


def _child(parent: Registry, *locations: str) -> Registry:
    return Registry(parent.name, parent=parent, scope='soho', locations=list(locations))


# What is read, and in which order.
DATASETS = _child(MMENGINE_DATASETS, 'soho.datasets')
DATA_SAMPLERS = _child(MMENGINE_DATA_SAMPLERS, 'soho.datasets')
TRANSFORMS = _child(MMENGINE_TRANSFORMS, 'soho.datasets.transforms')
# mmengine's runner looks collate functions up in its own registry only.
FUNCTIONS = MMENGINE_FUNCTIONS
TASK_UTILS = _child(MMENGINE_TASK_UTILS, 'soho.datasets')

# What learns.
MODELS = _child(MMENGINE_MODELS, 'soho.models')
MODEL_WRAPPERS = _child(MMENGINE_MODEL_WRAPPERS, 'soho.models')
WEIGHT_INITIALIZERS = _child(MMENGINE_WEIGHT_INITIALIZERS, 'soho.engine')

# What happens around a step.
HOOKS = _child(MMENGINE_HOOKS, 'soho.engine')
LOOPS = _child(MMENGINE_LOOPS, 'soho.engine')
RUNNERS = _child(MMENGINE_RUNNERS, 'soho.engine')
RUNNER_CONSTRUCTORS = _child(MMENGINE_RUNNER_CONSTRUCTORS, 'soho.engine')
STRATEGIES = _child(MMENGINE_STRATEGIES, 'soho.engine')
OPTIMIZERS = _child(MMENGINE_OPTIMIZERS, 'soho.engine')
OPTIM_WRAPPERS = _child(MMENGINE_OPTIM_WRAPPERS, 'soho.engine')
OPTIM_WRAPPER_CONSTRUCTORS = _child(MMENGINE_OPTIM_WRAPPER_CONSTRUCTORS, 'soho.engine')
PARAM_SCHEDULERS = _child(MMENGINE_PARAM_SCHEDULERS, 'soho.engine')
LOG_PROCESSORS = _child(MMENGINE_LOG_PROCESSORS, 'soho.engine')

# What is measured, shown and called.
METRICS = _child(MMENGINE_METRICS, 'soho.evaluation')
EVALUATOR = _child(MMENGINE_EVALUATOR, 'soho.evaluation')
VISUALIZERS = _child(MMENGINE_VISUALIZERS, 'soho.visualization')
VISBACKENDS = _child(MMENGINE_VISBACKENDS, 'soho.visualization')
INFERENCERS = _child(MMENGINE_INFERENCERS, 'soho.apis')
