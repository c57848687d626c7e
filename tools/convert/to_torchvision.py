"""Write the ResNet of a checkpoint as a file of torchvision's.

    python tools/convert/to_torchvision.py CHECKPOINT OUT

``torchvision.models.resnet50().load_state_dict(torch.load(OUT), strict=False)``
takes it: of a classifier (``fc``) there is none. The checkpoint may be of this
project or an official one.
"""

from soho.apis.sources import locate_checkpoint
from soho.engine.checkpoint.adapters.torchvision_resnet import to_torchvision
from soho.engine.checkpoint.convert import bare_file, run_command

if __name__ == '__main__':
    run_command(to_torchvision, __doc__, wrap=bare_file, locate=locate_checkpoint)
