# %% [markdown]
# # 3. Define a CNN
#
# Choose one by name, or bring your own. Either way you get a plain `keras.Model`.

# %%
import keras
from keras import layers
from matplotlib import pyplot as plt

from imgcls import architectures

# %% [markdown]
# ## From the table of names

# %%
print(len(architectures.names()), "architectures:", ", ".join(architectures.names()[:8]), "...")
for name in ("small_cnn", "small_resnet", "mobilenet_v2", "efficientnet_b0"):
    row = architectures.describe(name)
    print(f"{row.name:16} {row.image_size or 'any':>4}  {row.summary}")

# %% [markdown]
# Work against size of all of them: the further up a network stands, the more an image costs.

# %%
rows = [architectures.describe(name) for name in architectures.names()]
figure, ax = plt.subplots(figsize=(7, 4), layout="constrained")
ax.scatter([row.parameters for row in rows], [row.multiply_adds for row in rows], s=14)
ax.set(xscale="log", yscale="log", xlim=(8e3, 1e9), xlabel="weights", ylabel="multiply-adds an image")
for row in rows:
    if row.name in {"small_cnn", "speed_cnn", "mobilenet_v2", "resnet50_v2", "vgg16", "convnext_xlarge"}:
        ax.annotate(
            row.name, (row.parameters, row.multiply_adds), xytext=(-6, 3), textcoords="offset points", ha="right"
        )
# figure: Multiply-adds against weights of each architecture: MobileNet is small and quick, VGG16 large and slow.
plt.show()

# %% [markdown]
# `build` puts the parts together: preprocessing, backbone, pooling, dropout, head. The model takes pixels 0-255.

# %%
model = architectures.build("small_cnn", input_shape=(16, 16, 1), num_classes=10)
model.summary(expand_nested=True)

# %% [markdown]
# ## Your own
# The classic layers, in the classic order. No scaling: `build` adds it in front.

# %%
own = keras.Sequential(
    [
        keras.Input((16, 16, 1)),
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.BatchNormalization(),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(64, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10, activation="softmax"),
    ],
    name="own",
)
complete = architectures.build(own, input_shape=(16, 16, 1), num_classes=10)
complete.summary(expand_nested=True)

# %% [markdown]
# A layer called "normalization" stands in front now: it divides pixels by 255. `ImageClassifier` measures mean and
# deviation of your training images instead.

# %%
print([layer.name for layer in complete.layers])
print(complete.input.shape, "->", complete.output.shape)
