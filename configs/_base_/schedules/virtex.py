"""VirTex's optimisation: SGD with Lookahead and two learning rates, 500,000 iterations in float16, cosine decay.

The learning rate of the CNN is 0.2, that of the language model 0.001. Norms and biases of the language model have no
weight decay, except its projection of the image and the bias of its output layer.
"""

optim_wrapper = dict(
    type='AmpOptimWrapper',
    dtype='float16',
    optimizer=dict(
        type='Lookahead', optimizer='SGD', k=5, alpha=0.5, lr=0.001, momentum=0.9, weight_decay=1e-4, fused=True
    ),
    constructor='PatternConstructor',
    paramwise_cfg=dict(
        patterns={
            r'\Abackbone\.': dict(lr=0.2),
            r'\Alanguage\.(embedding|(backward_)?transformer)\..*(norm|bias)': dict(weight_decay=0.0),
        }
    ),
    clip_grad=dict(max_norm=10.0),
)
param_scheduler = dict(type='WarmupDecayLR', decay='cosine', warmup=10000, total=500000)
train_cfg = dict(type='IterBasedTrainLoop', max_iters=500000, val_interval=2000)
