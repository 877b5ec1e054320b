"""Networks of the shape that published benchmarks time, with random weights: their speed, not their sense.

MobileNetV2 (Sandler et al. 2018, table 2) and ResNet-50 (He et al. 2016, table 1; the stride in the
3 × 3 convolution, as implementations have it), for images of 224 × 224.
"""

from mesh.testing.network import IMAGE_RANGE, Network, NumberFormat

_SIZE = 224
_CLASSES = 1000
_MOBILENET_BLOCKS = (
    # expansion, channels, repeats, stride of the first
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
_RESNET_BLOCKS = ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2))  # width, repeats, stride


def mobilenet_v2(number_format: NumberFormat = "float32") -> bytes:
    net = Network(number_format)
    image = net.activation("image", (1, _SIZE, _SIZE, 3), IMAGE_RANGE)
    x = net.convolution("stem", image, 32, kernel=3, stride=2, is_rectified=True)
    before = 32
    for group, (expansion, channels, repeats, stride) in enumerate(_MOBILENET_BLOCKS):
        for repeat in range(repeats):
            name, step = f"group{group}/{repeat}", stride if repeat == 0 else 1
            inner = before * expansion
            y = x
            if expansion > 1:
                y = net.convolution(f"{name}/expand", y, inner, kernel=1, is_rectified=True)
            y = net.depthwise(f"{name}/depthwise", y, stride=step)
            y = net.convolution(f"{name}/project", y, channels, kernel=1)
            is_residual = step == 1 and channels == before
            x = net.add(f"{name}/add", x, y, is_rectified=False) if is_residual else y
            before = channels
    x = net.convolution("head", x, 1280, kernel=1, is_rectified=True)
    return _classified(net, image, x)


def resnet_50(number_format: NumberFormat = "float32") -> bytes:
    net = Network(number_format)
    image = net.activation("image", (1, _SIZE, _SIZE, 3), IMAGE_RANGE)
    x = net.convolution("stem", image, 64, kernel=7, stride=2, is_rectified=True)
    x = net.max_pool("pool", x)
    for group, (width, repeats, stride) in enumerate(_RESNET_BLOCKS):
        for repeat in range(repeats):
            name, step = f"group{group}/{repeat}", stride if repeat == 0 else 1
            y = net.convolution(f"{name}/reduce", x, width, kernel=1, is_rectified=True)
            y = net.convolution(
                f"{name}/middle", y, width, kernel=3, stride=step, is_rectified=True
            )
            y = net.convolution(f"{name}/expand", y, 4 * width, kernel=1)
            if repeat == 0:
                x = net.convolution(f"{name}/shortcut", x, 4 * width, kernel=1, stride=step)
            x = net.add(f"{name}/add", x, y)
    return _classified(net, image, x)


def _classified(net: Network, image: int, x: int) -> bytes:
    logits = net.dense("logits", net.mean("pooled", x), _CLASSES, gain=0.5)
    return net.builder.build({"image": image}, {"scores": net.softmax("scores", logits)})
