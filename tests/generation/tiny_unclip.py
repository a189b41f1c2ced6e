"""A small random Stable unCLIP of the real classes, its image encoder the vision tower of the small golden ImageBind.

So what it all rests on can be tested: ImageBind's image tower and the pipeline's image encoder are one network.
"""

from __future__ import annotations

import json
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDPMScheduler,
    PNDMScheduler,
    StableUnCLIPImg2ImgPipeline,
    UNet2DConditionModel,
)
from diffusers.pipelines.stable_diffusion.safety_checker import StableDiffusionSafetyChecker
from diffusers.pipelines.stable_diffusion.stable_unclip_image_normalizer import StableUnCLIPImageNormalizer
from safetensors.torch import load_file
from transformers import (
    CLIPConfig,
    CLIPImageProcessor,
    CLIPTextConfig,
    CLIPTextModel,
    CLIPTokenizer,
    CLIPVisionConfig,
    CLIPVisionModelWithProjection,
)

DATA = Path(__file__).parents[1] / "data" / "imagebind"
DIM = 32
TEXT_WIDTH = 16
LETTERS = "abcdefghijklmnopqrstuvwxyz"


def image_encoder() -> CLIPVisionModelWithProjection:
    """CLIP's vision tower in the library's own layout, filled with the weights of ImageBind's."""
    tensors = {
        name.removeprefix("modality_"): tensor.float()
        for name, tensor in load_file(DATA / "reference_small.safetensors").items()
        if ".vision." in name
    }
    shape = json.loads((DATA / "reference_small.json").read_text())["constructor"]
    width = tensors["preprocessors.vision.cls_token"].shape[-1]
    blocks = len({name.split(".")[3] for name in tensors if name.startswith("trunks.vision.blocks.")})
    positions = tensors["preprocessors.vision.pos_embedding_helper.pos_embed"][0]
    patches = tensors["preprocessors.vision.rgbt_stem.proj.1.weight"]
    config = CLIPVisionConfig(
        hidden_size=width,
        intermediate_size=tensors["trunks.vision.blocks.0.mlp.fc1.weight"].shape[0],
        num_hidden_layers=blocks,
        num_attention_heads=shape["vision_num_heads"],
        patch_size=patches.shape[-1],
        image_size=round((len(positions) - 1) ** 0.5) * patches.shape[-1],
        projection_dim=DIM,
        hidden_act="gelu",
        # ImageBind's blocks and its head differ in this constant: 1e-6 here, as its norms have.
        layer_norm_eps=1e-6,
    )
    model = CLIPVisionModelWithProjection(config).eval()
    state = {
        "vision_model.embeddings.class_embedding": tensors["preprocessors.vision.cls_token"].flatten(),
        # A still picture is a film of two equal frames to ImageBind: its two temporal taps add up.
        "vision_model.embeddings.patch_embedding.weight": patches.sum(2),
        "vision_model.embeddings.position_embedding.weight": positions,
        "vision_model.pre_layrnorm.weight": tensors["trunks.vision.pre_transformer_layer.0.weight"],
        "vision_model.pre_layrnorm.bias": tensors["trunks.vision.pre_transformer_layer.0.bias"],
        "vision_model.post_layernorm.weight": tensors["heads.vision.0.weight"],
        "vision_model.post_layernorm.bias": tensors["heads.vision.0.bias"],
        "visual_projection.weight": tensors["heads.vision.2.weight"],
    }
    for block in range(blocks):
        theirs, ours = f"vision_model.encoder.layers.{block}", f"trunks.vision.blocks.{block}"
        for kind in ("weight", "bias"):
            parts = tensors[f"{ours}.attn.in_proj_{kind}"].chunk(3)
            for name, part in zip(("q_proj", "k_proj", "v_proj"), parts):
                state[f"{theirs}.self_attn.{name}.{kind}"] = part
            for name, other in (
                ("self_attn.out_proj", "attn.out_proj"),
                ("layer_norm1", "norm_1"),
                ("layer_norm2", "norm_2"),
                ("mlp.fc1", "mlp.fc1"),
                ("mlp.fc2", "mlp.fc2"),
            ):
                state[f"{theirs}.{name}.{kind}"] = tensors[f"{ours}.{other}.{kind}"]
    missing, unexpected = model.load_state_dict(
        {_renamed(name, model): tensor for name, tensor in state.items()}, strict=False
    )
    assert not unexpected
    assert all("position_ids" in name for name in missing), missing
    return model


def _renamed(name: str, model: torch.nn.Module) -> str:
    """Library versions differ in whether the tower's parts lie below `vision_model`."""
    return name if name in model.state_dict() else name.removeprefix("vision_model.")


def write_pipeline(folder: Path, dim: int = DIM) -> Path:
    """The whole pipeline with its safety checker, as `models pull stable_unclip` lays them down."""
    torch.manual_seed(0)
    side = image_encoder().config.image_size
    pipeline = StableUnCLIPImg2ImgPipeline(
        feature_extractor=CLIPImageProcessor(
            size={"shortest_edge": side}, crop_size={"height": side, "width": side}
        ),
        image_encoder=image_encoder(),
        image_normalizer=StableUnCLIPImageNormalizer(embedding_dim=dim),
        image_noising_scheduler=DDPMScheduler(beta_schedule="squaredcos_cap_v2"),
        tokenizer=_tokenizer(),
        text_encoder=CLIPTextModel(
            CLIPTextConfig(
                vocab_size=2 * len(LETTERS) + 2,
                hidden_size=TEXT_WIDTH,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                max_position_embeddings=12,
                bos_token_id=2 * len(LETTERS),
                eos_token_id=2 * len(LETTERS) + 1,
                pad_token_id=0,
            )
        ).eval(),
        unet=UNet2DConditionModel(
            sample_size=8,
            block_out_channels=(16, 32),
            layers_per_block=1,
            down_block_types=("CrossAttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "CrossAttnUpBlock2D"),
            norm_num_groups=8,
            attention_head_dim=(2, 4),
            cross_attention_dim=TEXT_WIDTH,
            use_linear_projection=True,
            class_embed_type="projection",
            projection_class_embeddings_input_dim=2 * dim,
        ).eval(),
        scheduler=PNDMScheduler(
            beta_schedule="scaled_linear", skip_prk_steps=True, prediction_type="v_prediction", steps_offset=1
        ),
        vae=AutoencoderKL(
            block_out_channels=(8, 16),
            down_block_types=("DownEncoderBlock2D",) * 2,
            up_block_types=("UpDecoderBlock2D",) * 2,
            norm_num_groups=8,
            sample_size=16,
        ).eval(),
    )
    # A random class embedding hardly changes the picture: let it count.
    with torch.no_grad():
        pipeline.unet.class_embedding.linear_2.weight.mul_(20)
    pipeline.save_pretrained(folder)
    write_safety_checker(folder / "safety_checker", refusing=False)
    return folder


def _tokenizer() -> CLIPTokenizer:
    words = [*LETTERS, *(f"{letter}</w>" for letter in LETTERS), "<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: number for number, word in enumerate(words)}
    return CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=12)


def write_safety_checker(folder: Path, *, refusing: bool) -> Path:
    """A checker of the real class whose thresholds let every picture pass, or none."""
    torch.manual_seed(1)
    vision = {
        "hidden_size": 16,
        "intermediate_size": 16,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "image_size": 32,
        "patch_size": 16,
    }
    checker = StableDiffusionSafetyChecker(CLIPConfig(vision_config=vision, projection_dim=8))
    for threshold in (checker.concept_embeds_weights, checker.special_care_embeds_weights):
        threshold.data.fill_(-2.0 if refusing else 2.0)
    checker.save_pretrained(folder)
    size = {"height": 32, "width": 32}
    CLIPImageProcessor(size={"shortest_edge": 32}, crop_size=size).save_pretrained(folder)
    return folder
