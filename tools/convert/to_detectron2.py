"""Write the ResNet of a checkpoint as a file that detectron2 starts from (``MODEL.WEIGHTS``).

    python tools/convert/to_detectron2.py CHECKPOINT OUT

The checkpoint may be of this project or an official one.
"""

from soho.apis.sources import locate_checkpoint
from soho.engine.checkpoint.adapters.torchvision_resnet import to_detectron2
from soho.engine.checkpoint.convert import detectron2_file, run_command

if __name__ == '__main__':
    run_command(to_detectron2, __doc__, wrap=detectron2_file, locate=locate_checkpoint)
