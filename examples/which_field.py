"""How wide does each stage of a network see, and how does that compare with the objects?"""

import autorf

OBJECT_SIZE, IMAGE_SIZE = 120, (256, 256)

for name in ("smp:Unet:resnet18", "smp:DeepLabV3Plus:mobilenet_v2", "torchvision:lraspp_mobilenet_v3_large"):
    field = autorf.receptive_field(autorf.build(name), IMAGE_SIZE)
    sees = "wider" if max(field.size) > OBJECT_SIZE else "narrower"
    print(f"{name}: {field.size} px, rnorm {field.rnorm:.2f}: {sees} than objects of {OBJECT_SIZE} px")
