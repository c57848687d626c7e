"""What a user could pick instead, beside this project in one process: ViLT, timm, and a pipeline of regions."""
from typing import Any

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from transformers import BertConfig, BertModel, ViltConfig, ViltForQuestionAnswering

from soho.benchmark.bench import Bench, Rows
from soho.benchmark.inference import Prediction
from soho.benchmark.memory import in_a_fresh_process
from soho.benchmark.recipes import CROP, random_batch, recipe
from soho.benchmark.training import Step
from soho.models.backbones import ResNet

VILT_SIZE = (384, 640)  # its own: the shorter side of 384
REGIONS = 300
REGION_TOKENS = 116  # 16 of the question and 100 regions, as region-based models of the paper's time read them


def alternatives(bench: Bench) -> Rows:
    """ViLT-B/32, timm's ResNet-50, and Faster R-CNN with a 12-layer BERT; all with random weights."""
    return [row for part in (vilt, timm_resnet, regions) for row in in_a_fresh_process(part, bench.args)]


def vilt(args: Any) -> Rows:
    """VQA fine-tuning and inference against ViLT-B/32 of transformers, on the same images and questions."""
    args.size = VILT_SIZE
    bench = Bench(args)
    model = ViltForQuestionAnswering(ViltConfig(
        num_labels=3129, max_image_length=-1, hidden_dropout_prob=0.1)).to(bench.device)
    name = f'at {args.size[0]}x{args.size[1]} against ViLT-B/32'
    rows: Rows = []
    for images in (1, *args.batches):
        batch = random_batch('vqa', recipe('vqa'), images, 1, args.size)
        inputs = vilt_inputs(bench, batch)

        @torch.inference_mode()
        def predict(inputs: dict[str, Tensor] = inputs) -> None:
            model(**inputs)

        model.eval()
        rows += bench.versus(f'vqa inference {name}, batch {images}', Prediction(bench, 'vqa', images),
                             **bench.as_published('ViLT', predict))
    batch = random_batch('vqa', recipe('vqa'), args.images, 1, args.size)
    inputs = vilt_inputs(bench, batch)
    labels = torch.zeros(args.images, 3129).scatter_(1, batch['answer_labels'][:, 0], 1.0).to(bench.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        with bench.autocast():
            loss = model(**inputs, labels=labels).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 4.0)
        optimizer.step()
        optimizer.zero_grad()

    model.train()
    ours = Step(bench, 'vqa', batch)
    return rows + bench.versus(f'vqa step {name}, {args.images} images', ours, **bench.as_published('ViLT', step))


def vilt_inputs(bench: Bench, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Our batch as ViLT wants it."""
    image = (batch['image'].to(bench.device).float() - 127.5) / 127.5
    return dict(
        input_ids=batch['input_ids'][:, 0].to(bench.device),
        attention_mask=batch['attention_mask'][:, 0].to(bench.device),
        pixel_values=image, pixel_mask=torch.ones_like(image[:, 0], dtype=torch.int64))


def timm_resnet(args: Any) -> Rows:
    """Forward, backward and SGD of a ResNet-50 against timm's, to the mean of the last map."""
    import timm
    bench = Bench(args)
    ours, theirs = ResNet(50).to(bench.device).train(), timm.create_model('resnet50', num_classes=0).to(bench.device)
    image = torch.randn(args.images, 3, *CROP, device=bench.device)
    channels_last = image.to(memory_format=torch.channels_last)

    def trainer(model: nn.Module, image: Tensor) -> Any:
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

        def step() -> None:
            with bench.autocast():
                output = model(image)
                output = output[-1].mean((2, 3)) if isinstance(output, tuple) else output
            output.float().square().mean().backward()
            optimizer.step()
            optimizer.zero_grad()

        return step

    last = timm.create_model('resnet50', num_classes=0).to(bench.device, memory_format=torch.channels_last)
    name = f'ResNet-50 step, {args.images} images of {CROP[0]}x{CROP[1]}'
    return bench.versus(name, trainer(ours, channels_last), timm=trainer(theirs.train(), image),
                        timm_in_channels_last=trainer(last.train(), channels_last))


class Regions(nn.Module):
    """Faster R-CNN over a ResNet-101 up to its fourth stage, then a 12-layer BERT over question and regions."""

    def __init__(self) -> None:
        super().__init__()
        trunk = nn.Sequential(Last(ResNet(101, num_stages=3, out_indices=(2, ))))
        trunk.out_channels = 1024
        last = ResNet(101)
        head = nn.Sequential(last.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.detector = FasterRCNN(
            trunk, min_size=600, max_size=1000,
            rpn_anchor_generator=AnchorGenerator(((32, 64, 128, 256, 512), ), ((0.5, 1.0, 2.0), )),
            box_roi_pool=MultiScaleRoIAlign(['0'], output_size=14, sampling_ratio=2),
            box_head=head, box_predictor=Scores(2048, 1601),
            rpn_pre_nms_top_n_test=6000, rpn_post_nms_top_n_test=REGIONS, box_detections_per_img=100,
            box_score_thresh=0.05)
        self.project = nn.Linear(2048, 768)
        self.bert = BertModel(BertConfig())

    def forward(self, image: Tensor) -> Tensor:
        """(1, 3, H, W) to (1, T, 768)."""
        self.detector([image[0]])
        return self.bert(inputs_embeds=self.project(image.new_zeros(1, REGION_TOKENS, 2048))).last_hidden_state


class Last(nn.Module):
    """A backbone's last map alone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        return self.backbone(image)[-1]


class Scores(nn.Module):
    """Classes and boxes of (M, C) region features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes, self.boxes = nn.Linear(channels, classes), nn.Linear(channels, 4 * classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(features), self.boxes(features)


def regions(args: Any) -> Rows:
    """One question about one image against regions: the detector with 300 proposals, then the transformer."""
    bench = Bench(args)
    model = Regions().to(bench.device).eval()
    ours = Prediction(bench, 'vqa', 1)
    image = ours.batch['image'].to(bench.device).float() / 255

    @torch.inference_mode()
    def both() -> None:
        model(image)

    @torch.inference_mode()
    def detector() -> None:
        model.detector([image[0]])

    name = f'vqa inference at {args.size[0]}x{args.size[1]} against regions, one image'
    return bench.versus(name, ours, **bench.as_published('regions', both), the_detector_alone=detector)
