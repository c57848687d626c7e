"""Comparison with alternatives, measured in turns: ViLT, timm, and a region-based pipeline."""

import argparse

import torch
from torch import Tensor, nn
from torchvision.models.detection import FasterRCNN
from torchvision.models.detection.rpn import AnchorGenerator
from torchvision.ops import MultiScaleRoIAlign
from transformers import BertConfig, BertModel, ViltConfig, ViltForQuestionAnswering

from soho.models.backbones import ResNet
from tools.benchmark.bench import Bench, Rows
from tools.benchmark.official_soho import our_answers
from tools.benchmark.race import Calls, Candidate, published, race, rows_of
from tools.benchmark.recipes import CROP, random_batch, recipe
from tools.benchmark.training import Step

VILT_SIZE = (384, 640)  # its own: the shorter side of 384
REGIONS = 300
REGION_TOKENS = 116  # 16 of the question and 100 regions, as region-based models of the paper's time read them


def alternatives(bench: Bench) -> Rows:
    """Compare with ViLT-B/32, timm's ResNet-50, and Faster R-CNN with a 12-layer BERT; all with random weights."""
    args = bench.args
    small = argparse.Namespace(**dict(vars(args), size=VILT_SIZE))
    rows: Rows = []
    name = f'at {VILT_SIZE[0]}x{VILT_SIZE[1]} against ViLT-B/32'
    for images in (1, *args.batches):
        rows += rows_of(
            f'vqa inference {name}, batch {images}',
            race(small, dict(ours=Candidate(our_answers, (images,)), **published(args, 'ViLT', vilt_answers, images))),
        )
    rows += rows_of(
        f'vqa step {name}, {args.images} images',
        race(small, dict(ours=Candidate(our_vqa_step), **published(args, 'ViLT', vilt_step))),
    )
    rows += rows_of(
        f'ResNet-50 step, {args.images} images of {CROP[0]}x{CROP[1]}',
        race(
            args,
            dict(
                ours=Candidate(our_resnet_step),
                **published(args, 'timm', timm_step, False),
                **{'timm, channels last, with the same settings': Candidate(timm_step, (True,))},
            ),
        ),
    )
    name = f'vqa inference at {args.size[0]}x{args.size[1]} against regions, one image'
    return rows + rows_of(
        name, race(args, dict(ours=Candidate(our_answers, (1,)), **published(args, 'regions', region_answers)))
    )


def our_vqa_step(bench: Bench) -> Calls:
    """Return our VQA training step with one question per image."""
    return dict(step=Step(bench, 'vqa', random_batch('vqa', recipe('vqa'), bench.args.images, 1, bench.args.size)))


def vilt(bench: Bench, images: int) -> tuple[nn.Module, dict[str, Tensor], Tensor]:
    """Return ViLT-B/32 for VQA, our batch as its inputs, and the answers."""
    config = ViltConfig(num_labels=3129, max_image_length=-1, hidden_dropout_prob=0.1)
    batch = random_batch('vqa', recipe('vqa'), images, 1, bench.args.size)
    answers = torch.zeros(images, 3129).scatter_(1, batch['answer_labels'][:, 0], 1.0).to(bench.device)
    return ViltForQuestionAnswering(config).to(bench.device), vilt_inputs(bench, batch), answers


def vilt_answers(bench: Bench, images: int) -> Calls:
    """Return ViLT's inference with one question per image."""
    model, inputs, _ = vilt(bench, images)
    model.eval()

    @torch.inference_mode()
    def predict() -> None:
        with bench.autocast():
            model(**inputs)

    return dict(predict=predict)


def vilt_step(bench: Bench) -> Calls:
    """Return ViLT's training step with AdamW and gradient clipping as in our recipe."""
    model, inputs, answers = vilt(bench, bench.args.images)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step() -> None:
        with bench.autocast():
            loss = model(**inputs, labels=answers).loss
        loss.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 4.0)
        optimizer.step()
        optimizer.zero_grad()

    return dict(step=step)


def vilt_inputs(bench: Bench, batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return our batch as ViLT's inputs."""
    image = (batch['image'].to(bench.device).float() - 127.5) / 127.5
    return dict(
        input_ids=batch['input_ids'][:, 0].to(bench.device),
        attention_mask=batch['attention_mask'][:, 0].to(bench.device),
        pixel_values=image,
        pixel_mask=torch.ones_like(image[:, 0], dtype=torch.int64),
    )


def our_resnet_step(bench: Bench) -> Calls:
    """Return the training step of our ResNet-50."""
    return resnet_step(bench, nn.Sequential(Last(ResNet(50)), nn.AdaptiveAvgPool2d(1)), channels_last=True)


def timm_step(bench: Bench, channels_last: bool) -> Calls:
    """Return the training step of timm's ResNet-50."""
    import timm

    return resnet_step(bench, timm.create_model('resnet50', num_classes=0), channels_last)


def resnet_step(bench: Bench, model: nn.Module, channels_last: bool) -> Calls:
    """Return forward, backward and SGD of a ResNet-50 on the mean of squares of its last feature map."""
    layout = torch.channels_last if channels_last else torch.contiguous_format
    model = model.to(bench.device, memory_format=layout).train()
    image = torch.randn(bench.args.images, 3, *CROP, device=bench.device).to(memory_format=layout)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)

    def step() -> None:
        with bench.autocast():
            output = model(image)
        output.float().square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()

    return dict(step=step)


class Regions(nn.Module):
    """Faster R-CNN with a ResNet-101 up to its fourth stage, then a 12-layer BERT over question and regions.

    With random weights no box reaches the score threshold, so that class-wise
    non-maximum suppression, which takes time in a trained detector, has
    nothing to do; this favours the pipeline.
    """

    def __init__(self) -> None:
        super().__init__()
        trunk = nn.Sequential(Last(ResNet(101, num_stages=3, out_indices=(2,))))
        trunk.out_channels = 1024
        last = ResNet(101)
        head = nn.Sequential(last.layer4, nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.detector = FasterRCNN(
            trunk,
            min_size=600,
            max_size=1000,
            rpn_anchor_generator=AnchorGenerator(((32, 64, 128, 256, 512),), ((0.5, 1.0, 2.0),)),
            box_roi_pool=MultiScaleRoIAlign(['0'], output_size=14, sampling_ratio=2),
            box_head=head,
            box_predictor=Scores(2048, 1601),
            rpn_pre_nms_top_n_test=6000,
            rpn_post_nms_top_n_test=REGIONS,
            box_detections_per_img=100,
            box_score_thresh=0.05,
        )
        self.project = nn.Linear(2048, 768)
        self.bert = BertModel(BertConfig())

    def forward(self, image: Tensor) -> Tensor:
        """Return the output tokens (1, T, 768) of an image (1, 3, H, W)."""
        self.detector([image[0]])
        return self.bert(inputs_embeds=self.project(image.new_zeros(1, REGION_TOKENS, 2048))).last_hidden_state


class Last(nn.Module):
    """Last feature map of a backbone."""

    def __init__(self, backbone: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone

    def forward(self, image: Tensor) -> Tensor:
        return self.backbone(image)[-1]


class Scores(nn.Module):
    """Class scores and box offsets of (M, C) region features."""

    def __init__(self, channels: int, classes: int) -> None:
        super().__init__()
        self.classes, self.boxes = nn.Linear(channels, classes), nn.Linear(channels, 4 * classes)

    def forward(self, features: Tensor) -> tuple[Tensor, Tensor]:
        return self.classes(features), self.boxes(features)


def region_answers(bench: Bench) -> Calls:
    """Return the inference of the region-based pipeline for one question about one image."""
    model = Regions().to(bench.device).eval()
    image = random_batch('vqa', recipe('vqa'), 1, 1, bench.args.size)['image'].to(bench.device).float() / 255

    @torch.inference_mode()
    def predict() -> None:
        with bench.autocast():
            model(image)

    return dict(predict=predict)
